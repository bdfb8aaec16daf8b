// Samples packed into one row: cuSegments [n+1] holds 0 and the end of each.

import { HIDDEN } from "../llm/mask.ts";

/** Positions 0, 1, 2, .. that start again at each segment border: cuSegments [n+1] holds 0 and the ends. */
export function segmentPositions(cuSegments: ArrayLike<number>): Int32Array {
  const positions = new Int32Array(cuSegments[cuSegments.length - 1] ?? 0);
  for (let s = 0; s + 1 < cuSegments.length; s++) {
    const start = cuSegments[s]!;
    for (let t = start; t < cuSegments[s + 1]!; t++) positions[t] = t - start;
  }
  return positions;
}

/**
 * Causal inside each segment, blind across their borders: cuSegments [n+1] holds 0 and the ends -> [T, T].
 * For packed samples, whose positions start again at each segment.
 */
export function segmentMask(cuSegments: ArrayLike<number>): Float32Array {
  const T = cuSegments[cuSegments.length - 1] ?? 0;
  const mask = new Float32Array(T * T).fill(HIDDEN);
  for (let s = 0; s + 1 < cuSegments.length; s++) {
    const start = cuSegments[s]!;
    for (let t = start; t < cuSegments[s + 1]!; t++) mask.fill(0, t * T + start, t * T + t + 1);
  }
  return mask;
}

/** The samples of each of B rows of T blocks: the longest first, each in the first row with room for it. One that finds none is left out. */
export function fillRows(lengths: readonly number[], B: number, T: number): number[][] {
  const rows = Array.from({ length: B }, () => ({ samples: [] as number[], room: T }));
  for (const i of [...lengths.keys()].sort((a, b) => lengths[b]! - lengths[a]!)) {
    const row = rows.find(({ room }) => room >= lengths[i]!);
    if (!row) continue;
    row.samples.push(i);
    row.room -= lengths[i]!;
  }
  return rows.map(({ samples }) => samples);
}

/** cuSegments of a row of T blocks: 0, the end of each sample, and T, since the padding is a segment too. */
export function segmentEnds(lengths: readonly number[], T: number): number[] {
  const ends = [0];
  for (const length of lengths) ends.push(ends.at(-1)! + length);
  return ends.at(-1)! < T ? [...ends, T] : ends;
}
