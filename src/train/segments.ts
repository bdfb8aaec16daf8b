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
