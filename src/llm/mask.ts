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

/**
 * For sequences side by side, each with `count` new positions of S behind `length` cached ones in a cache of room for C:
 * [B, S, C+S]. New positions beyond the count see only themselves.
 */
export function cacheMask(
  sequences: readonly { readonly length: number; readonly count: number }[],
  S: number,
  C: number,
): Float32Array {
  const width = C + S;
  const mask = new Float32Array(sequences.length * S * width).fill(HIDDEN);
  for (const [b, { length, count }] of sequences.entries()) {
    for (let t = 0; t < S; t++) {
      const at = (b * S + t) * width;
      if (t < count) mask.fill(0, at, at + length).fill(0, at + C, at + C + t + 1);
      else mask[at + C + t] = 0;
    }
  }
  return mask;
}
