// The losses that train the quantizer: its entries go to the features, and the features to their entries (commitment).

import type { Tensor } from "../../tensor/tensor.ts";
import type { Quantized } from "../../vision/quantizer.ts";

export interface QuantizerLosses {
  /** One scalar for each book: pulls its entries to the features (trains embedding_proj and q_norm). */
  readonly codebook: readonly Tensor[];
  /** One scalar for each book: pulls the features to their entries (trains z_norm and all before it). */
  readonly commitment: readonly Tensor[];
}

/**
 * Mean squared distances. `rowWeights` f32 [M, 1] (say 0 for a padding image) weighs the rows; the mean divides by all
 * M*d elements regardless, as the reference does.
 */
export function quantizerLosses({ z, e }: Quantized, rowWeights?: Tensor): QuantizerLosses {
  const distance = (a: Tensor, b: Tensor) => {
    const squares = a.sub(b).square();
    return (rowWeights ? squares.mul(rowWeights) : squares).mean([0, 1]);
  };
  return {
    codebook: z.map((part, i) => distance(part.stopGradient(), e[i]!)),
    commitment: z.map((part, i) => distance(part, e[i]!.stopGradient())),
  };
}

/** The mean of scalars, as the total loss wants the books' losses. */
export function meanOf(scalars: readonly Tensor[]): Tensor {
  return scalars.reduce((sum, scalar) => sum.add(scalar)).div(scalars.length);
}
