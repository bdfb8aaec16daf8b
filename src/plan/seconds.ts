// Estimates the time of work on a machine: the larger of its compute time and its read time.

import { precisionOf } from "../checkpoint/precision.ts";
import { isReadWhole } from "../tensor/weight-uses.ts";
import { graphCost } from "./graph-cost.ts";
import type { Work } from "./workload.ts";

/** A machine's measured speeds. */
export interface Speeds {
  /** Float32 operations of a large matrix product. */
  readonly flopPerS: number;
  /** Bytes of a float32 matrix by which one row is multiplied: the speed of memory. */
  readonly readBytesPerS: number;
  /** Bytes of a 4-bit matrix, with its scales, by which one row is multiplied. */
  readonly quantizedBytesPerS: number;
  /** Operations of many rows times a 4-bit matrix, which are faster than float32's: the rows are rounded to 8 bits. */
  readonly quantizedFlopPerS: number;
}

export interface TaskSeconds {
  readonly seconds: number;
  /** In execution order. */
  readonly parts: readonly { readonly what: string; readonly seconds: number }[];
}

/** The time of work with all sessions open. Elementwise work is ignored, so this is a lower bound. */
export function worksSeconds(works: readonly Work[], speeds: Speeds): TaskSeconds {
  const parts = new Map<string, number>();
  for (const work of works) {
    parts.set(work.what, (parts.get(work.what) ?? 0) + work.runs * runSeconds(work, speeds));
  }
  return {
    seconds: [...parts.values()].reduce((a, b) => a + b, 0),
    parts: [...parts].map(([what, seconds]) => ({ what, seconds })),
  };
}

function runSeconds(work: Work, speeds: Speeds): number {
  const { weights } = work;
  const cost = graphCost(work.graph, work.sizes);
  let reading = cost.inputBytes / speeds.readBytesPerS;
  let quantizedFlop = 0;
  for (const weight of cost.weights) {
    const { path, elements, flop } = weight;
    const stored = weights.find(path);
    if (!stored || !isReadWhole(weight)) continue;
    const { isQuantized, bytesPerElement } = precisionOf(stored);
    reading += isQuantized
      ? (elements * bytesPerElement) / speeds.quantizedBytesPerS
      : (elements * 4) / speeds.readBytesPerS;
    if (isQuantized) quantizedFlop += flop;
  }
  const computing = (cost.flop - quantizedFlop) / speeds.flopPerS + quantizedFlop / speeds.quantizedFlopPerS;
  return Math.max(computing, reading);
}
