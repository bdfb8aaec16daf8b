// Images in bands of rows. What looks only a few rows up and down (convolutions do) gives the same numbers band by band as
// at once, if each band is read with that many rows more on either side; only the memory for one band is then needed.

import { concat, type Tensor } from "../tensor/tensor.ts";

/** Rows start .. end-1 of the result, for which rows from .. to-1 are read. */
export interface RowBand {
  readonly start: number;
  readonly end: number;
  readonly from: number;
  readonly to: number;
}

/**
 * Bands of `rows` rows (the last may have fewer) that read at least `reach` rows beyond, or up to the image's edge, where
 * padding belongs. All read equally many rows: those at the edges read further into the image.
 */
export function rowBands(height: number, rows: number, reach: number): RowBand[] {
  const window = Math.min(height, rows + 2 * reach);
  return Array.from({ length: Math.ceil(height / rows) }, (_, i) => {
    const start = i * rows;
    const from = Math.max(0, Math.min(start - reach, height - window));
    return { start, end: Math.min(start + rows, height), from, to: from + window };
  });
}

/** f(x) in `count` bands of rows, for an f that keeps the size of x [B, C, h, w] and looks `reach` rows up and down. */
export function inRowBands(x: Tensor, count: number, reach: number, f: (band: Tensor) => Tensor): Tensor {
  if (count === 1) return f(x);
  const height = x.size(2);
  const bands = rowBands(height, Math.ceil(height / count), reach);
  return concat(
    bands.map(({ start, end, from, to }) => f(x.slice(2, from, to)).slice(2, start - from, end - from)),
    2,
  );
}
