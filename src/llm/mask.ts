// Additive attention masks of the language model: 0 where a position may look, HIDDEN where it may not.

/** Added to a hidden score. Finite, so that no row can turn into NaN; its exponential is exactly 0 in float32. */
export const HIDDEN = -1e9;

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
