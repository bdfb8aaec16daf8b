// Additive attention masks of the language model: 0 where a position may look, HIDDEN where it may not.

/** Added to a hidden score. Finite, so that no row can turn into NaN; its exponential is exactly 0 in float32. */
export const HIDDEN = -1e9;

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

/** For T new positions after `length` cached ones in a cache of room for C: [T, C+T]. */
export function cacheMask(T: number, length: number, C: number): Float32Array {
  const width = C + T;
  const mask = new Float32Array(T * width).fill(HIDDEN);
  for (let t = 0; t < T; t++) {
    mask.fill(0, t * width, t * width + length);
    mask.fill(0, t * width + C, t * width + C + t + 1);
  }
  return mask;
}
