// Converts images of one size to a batch of training patches, and predicted patches back to images.

import { cutPatches } from "../../image/patches.ts";
import type { RgbImage } from "../../image/rgb.ts";
import { f32, type HostTensor, joinFloats } from "../../runtime/host-tensor.ts";
import { mergePatches } from "../../vision/packing.ts";

/** Images whose sides are multiples of a merged patch -> patches [P, C*p*p] of all, in -1 .. 1. */
export function patchesOf(images: readonly RgbImage[], patchSize: number): HostTensor {
  const width = 3 * patchSize ** 2;
  const all = joinFloats(images.map((image) => cutPatches(image, { patchSize, mergeSize: 2 }).pixelValues));
  return f32(all, [all.length / width, width]);
}

/** Merged positions [M, 4*C*p*p] of `count` square images, in -1 .. 1 -> images. */
export function imagesFromPatches(
  { data }: HostTensor,
  vision: { image_size: number; patch_size: number },
  count: number,
): RgbImage[] {
  const { image_size: side, patch_size: p } = vision;
  const grid = side / p;
  const merge = mergePatches([{ frames: 1, rows: grid, columns: grid }]);
  const perPatch = 3 * p * p;
  const perImage = grid * grid * perPatch;
  return Array.from({ length: count }, (_, n) => {
    const pixels = new Uint8Array(side * side * 3);
    merge.forEach((patch, k) => {
      const [row, column] = [Math.floor(patch / grid) * p, (patch % grid) * p];
      for (let i = 0; i < perPatch; i++) {
        const [c, y, x] = [Math.floor(i / (p * p)), Math.floor(i / p) % p, i % p];
        const value = Number(data[n * perImage + k * perPatch + i]);
        pixels[((row + y) * side + column + x) * 3 + c] = Math.max(0, Math.min(255, Math.round((value + 1) * 127.5)));
      }
    });
    return { width: side, height: side, data: pixels };
  });
}
