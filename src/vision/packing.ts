// Where each patch of one or several packed images stands: its row and column, the corners of the position table it
// is interpolated from, and which four patches become one merged position. Plain arrays; layout.ts makes tensors of them.

import { ModelError } from "../errors.ts";
import { MAX_PATCHES } from "../image/patches.ts";

/** The patch grid of one image: frames, rows, columns. */
export interface Grid {
  readonly frames: number;
  readonly rows: number;
  readonly columns: number;
}

export interface Packing {
  /** P, the patches of all images. */
  readonly patches: number;
  /** Patches of each image. */
  readonly sizes: readonly number[];
  /** [P], inside the own image; all frames of an image share them. */
  readonly rows: Int32Array;
  readonly columns: Int32Array;
  /** [P, 4] rows of the position table: top left, top right, bottom left, bottom right. */
  readonly corners: Int32Array;
  /** [P, 4] bilinear weights of the corners. */
  readonly weights: Float32Array;
}

/** Lays images one after the other, each in raster order. `tableSide`: side of the square position table. */
export function packImages(grids: readonly Grid[], tableSide: number): Packing {
  const sizes = grids.map(countPatches);
  const P = sizes.reduce((a, b) => a + b, 0);
  if (P > MAX_PATCHES) throw new ModelError(`${P} patches are more than the ${MAX_PATCHES} that one run may hold`);
  const packing = {
    patches: P,
    sizes,
    rows: new Int32Array(P),
    columns: new Int32Array(P),
    corners: new Int32Array(4 * P),
    weights: new Float32Array(4 * P),
  };
  let patch = 0;
  for (const { frames, rows, columns } of grids) {
    const down = interpolationTaps(rows, tableSide);
    const across = interpolationTaps(columns, tableSide);
    for (let frame = 0; frame < frames; frame++) {
      for (let row = 0; row < rows; row++) {
        for (let column = 0; column < columns; column++, patch++) {
          const { low: top, high: bottom, weight: y } = down[row]!;
          const { low: left, high: right, weight: x } = across[column]!;
          const [above, below] = [top * tableSide, bottom * tableSide];
          packing.rows[patch] = row;
          packing.columns[patch] = column;
          packing.corners.set([above + left, above + right, below + left, below + right], 4 * patch);
          packing.weights.set([(1 - y) * (1 - x), (1 - y) * x, y * (1 - x), y * x], 4 * patch);
        }
      }
    }
  }
  return packing;
}

/** [M, 4] patches of each merged position: the 2 x 2 neighbours in reading order, M = P/4. Throws for odd sides. */
export function mergePatches(grids: readonly Grid[]): Int32Array {
  const merge = new Int32Array(grids.reduce((sum, grid) => sum + countPatches(grid), 0));
  let patch = 0;
  let to = 0;
  for (const { frames, rows, columns } of grids) {
    if (rows % 2 !== 0 || columns % 2 !== 0) {
      throw new Error(
        `Patches are merged 2 x 2, which needs even numbers of rows and columns, got ${rows} x ${columns}`,
      );
    }
    // Frame upon frame is as good as one high image.
    for (let row = 0; row < frames * rows; row += 2) {
      for (let column = 0; column < columns; column += 2, to += 4) {
        const corner = patch + row * columns + column;
        merge.set([corner, corner + 1, corner + columns, corner + columns + 1], to);
      }
    }
    patch += frames * rows * columns;
  }
  return merge;
}

function countPatches({ frames, rows, columns }: Grid): number {
  if (![frames, rows, columns].every((n) => Number.isSafeInteger(n) && n >= 1)) {
    throw new Error(`A patch grid needs at least one frame, row and column, got ${frames} x ${rows} x ${columns}`);
  }
  return frames * rows * columns;
}

/** Bilinear, half-pixel centres, no antialias (also when shrinking): torch's interpolate with align_corners = false. */
function interpolationTaps(size: number, tableSide: number): { low: number; high: number; weight: number }[] {
  return Array.from({ length: size }, (_, i) => {
    const source = Math.max(((i + 0.5) * tableSide) / size - 0.5, 0);
    const low = Math.min(Math.floor(source), tableSide - 1);
    return { low, high: Math.min(low + 1, tableSide - 1), weight: source - low };
  });
}
