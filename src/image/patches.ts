// Cuts an image into the patches that the vision encoder reads: RGB u8 -> float32 in raster order.
// The 2 x 2 merge groups neighbours later, in the projector; here it only fixes that the grid divides by it.

import { imageError } from "./image-error.ts";
import type { RgbImage } from "./rgb.ts";

export interface Patches {
  /** [P, 3, patch, patch], values -1 .. 1 */
  readonly pixelValues: Float32Array;
  /** Patches down and across; both divide by the merge size. */
  readonly grid: readonly [rows: number, columns: number];
  readonly patchSize: number;
}

export interface PatchOptions {
  readonly patchSize: number;
  readonly mergeSize: number;
  readonly mean?: readonly number[];
  readonly std?: readonly number[];
}

/** Patches that one run may hold: a million is a square image of 14,000 pixels a side. */
export const MAX_PATCHES = 1_048_576;

const HALF = [0.5, 0.5, 0.5];

/** Patches of an image whose sides already divide by patchSize * mergeSize; throws an InputError if they do not. */
export function cutPatches(image: RgbImage, { patchSize, mergeSize, mean = HALF, std = HALF }: PatchOptions): Patches {
  const { width, height, data } = image;
  const factor = patchSize * mergeSize;
  if (width % factor !== 0 || height % factor !== 0 || width * height === 0) {
    throw imageError(`Expected sides that are multiples of ${factor} pixels, got ${width} x ${height}`);
  }
  const [rows, columns] = [height / patchSize, width / patchSize];
  const levels = [0, 1, 2].map((channel) => normalizedLevels(mean[channel]!, std[channel]!));
  const pixelValues = new Float32Array(width * height * 3);
  let to = 0;
  for (let row = 0; row < rows; row++) {
    for (let column = 0; column < columns; column++) {
      for (let channel = 0; channel < 3; channel++) {
        const level = levels[channel]!;
        for (let y = 0; y < patchSize; y++) {
          const from = ((row * patchSize + y) * width + column * patchSize) * 3 + channel;
          for (let x = 0; x < patchSize; x++) pixelValues[to++] = level[data[from + 3 * x]!]!;
        }
      }
    }
  }
  return { pixelValues, grid: [rows, columns], patchSize };
}

/** What the encoder sees of u8 levels 0 .. 255: scaled in float64, then float32 arithmetic, as the reference's processor. */
function normalizedLevels(mean: number, std: number): Float32Array {
  const [m, s] = [Math.fround(mean), Math.fround(std)];
  return Float32Array.from({ length: 256 }, (_, level) => Math.fround(Math.fround(level * (1 / 255)) - m) / s);
}
