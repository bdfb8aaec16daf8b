// Several images in one PNG, in rows, for viewing while a model trains.

import type { RgbImage } from "../image/rgb.ts";
import { writePng } from "../output/write-image.ts";

const GAP = 4;

/** Images of one size, `columns` to a row, on grey. */
export function contactSheet(images: readonly RgbImage[], columns: number): RgbImage {
  const [cellWidth, cellHeight] = [
    Math.max(...images.map((p) => p.width)) + GAP,
    Math.max(...images.map((p) => p.height)) + GAP,
  ];
  const width = columns * cellWidth + GAP;
  const height = Math.ceil(images.length / columns) * cellHeight + GAP;
  const data = new Uint8Array(width * height * 3).fill(128);
  images.forEach((image, n) => {
    const left = GAP + (n % columns) * cellWidth;
    const top = GAP + Math.floor(n / columns) * cellHeight;
    for (let y = 0; y < image.height; y++) {
      data.set(image.data.subarray(y * image.width * 3, (y + 1) * image.width * 3), ((top + y) * width + left) * 3);
    }
  });
  return { width, height, data };
}

/** Writes a contact sheet as PNG. */
export async function writeContactSheet(path: string, images: readonly RgbImage[], columns: number): Promise<void> {
  await writePng(path, contactSheet(images, columns));
}
