// Grids of images as the reference's folders have them.

import type { Grid } from "../../src/vision/packing.ts";

/** Reads `image_grid_thw`, rows of (frames, rows, columns). */
export function gridsFrom(rows: ArrayLike<number>): Grid[] {
  if (rows.length % 3 !== 0)
    throw new Error(`Expected grids as triples (frames, rows, columns), got ${rows.length} numbers`);
  return Array.from({ length: rows.length / 3 }, (_, i) => ({
    frames: rows[3 * i]!,
    rows: rows[3 * i + 1]!,
    columns: rows[3 * i + 2]!,
  }));
}
