// Softmax attention, the one form that the vision encoder, the language model, the token head and the diffusion
// transformer's cross-attention share. Masks, groups of pictures and caches are the caller's: they come as tensors.

import { mulDims } from "../tensor/dims.ts";
import type { Tensor } from "../tensor/tensor.ts";

export interface AttentionOptions {
  /** Factor on the scores, usually E^-0.5. */
  readonly scale: number;
  /** Added to the scores before the softmax; broadcastable to [.., Tq, Tk]. */
  readonly mask?: Tensor;
}

/** softmax(scale q k^T + mask) v. q [.., Tq, E], k [.., Tk, E], v [.., Tk, E] -> [.., Tq, E] */
export function attention(q: Tensor, k: Tensor, v: Tensor, options: AttentionOptions): Tensor {
  const scores = q.matmul(k, { transB: true, scale: options.scale }); // [.., Tq, Tk]
  return (options.mask ? scores.add(options.mask) : scores).softmaxMatmul(v);
}

/** [.., T, H*E] -> [.., H, T, E] */
export function splitHeads(x: Tensor, heads: number): Tensor {
  const lead = x.shape.slice(0, -2);
  const E = x.size(-1) / heads;
  const split = x.reshape([...lead, x.dim(-2), heads, E]);
  return split.transpose(swapped(split.rank));
}

/** [.., H, T, E] -> [.., T, H*E] */
export function mergeHeads(x: Tensor): Tensor {
  const lead = x.shape.slice(0, -3);
  const [H, T, E] = [x.dim(-3), x.dim(-2), x.size(-1)];
  return x.transpose(swapped(x.rank)).reshape([...lead, T, mulDims(H, E)]);
}

/** The order of axes with the second and third from the end exchanged. */
function swapped(rank: number): number[] {
  const axes = Array.from({ length: rank }, (_, i) => i);
  return [...axes.slice(0, -3), rank - 2, rank - 3, rank - 1];
}
