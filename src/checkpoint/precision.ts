// How a weight is stored, in words and in bytes.

import { bytesPerElement, isQuantized, type WeightLocation } from "../runtime/weight-source.ts";

export interface Precision {
  /** "bf16", "f32", "int4 block 32" */
  readonly label: string;
  /** Scales of blocks included. */
  readonly bytesPerElement: number;
  readonly isQuantized: boolean;
}

/** The precision of a stored weight. */
export function precisionOf(weight: WeightLocation): Precision {
  const label = isQuantized(weight) ? `int${weight.bits} block ${weight.block}` : weight.dtype;
  return { label, bytesPerElement: bytesPerElement(weight), isQuantized: isQuantized(weight) };
}
