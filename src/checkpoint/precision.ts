// How a weight is stored, in words and in bytes.

import { elementBytes } from "../runtime/host-tensor.ts";
import { isQuantized, type WeightLocation } from "../runtime/weight-source.ts";

export interface Precision {
  /** "bf16", "f32", "int4 block 32" */
  readonly label: string;
  /** Scales of blocks included. */
  readonly bytesPerElement: number;
  readonly isQuantized: boolean;
}

/** The precision of a stored weight. */
export function precisionOf(weight: WeightLocation): Precision {
  if (!isQuantized(weight)) {
    return { label: weight.dtype, bytesPerElement: elementBytes(weight.dtype), isQuantized: false };
  }
  const { bits, block } = weight;
  return { label: `int${bits} block ${block}`, bytesPerElement: bits / 8 + 4 / block, isQuantized: true };
}
