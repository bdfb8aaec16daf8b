// Several pictures in one PNG, in rows, to look at while a model trains.

import { writePng } from "../image/codec.node.ts";
import type { Picture } from "../image/picture.ts";

const GAP = 4;

/** Pictures of one size, `columns` to a row, on grey. */
export function contactSheet(pictures: readonly Picture[], columns: number): Picture {
  const [cellWidth, cellHeight] = [
    Math.max(...pictures.map((p) => p.width)) + GAP,
    Math.max(...pictures.map((p) => p.height)) + GAP,
  ];
  const width = columns * cellWidth + GAP;
  const height = Math.ceil(pictures.length / columns) * cellHeight + GAP;
  const data = new Uint8Array(width * height * 3).fill(128);
  pictures.forEach((picture, n) => {
    const left = GAP + (n % columns) * cellWidth;
    const top = GAP + Math.floor(n / columns) * cellHeight;
    for (let y = 0; y < picture.height; y++) {
      data.set(
        picture.data.subarray(y * picture.width * 3, (y + 1) * picture.width * 3),
        ((top + y) * width + left) * 3,
      );
    }
  });
  return { width, height, data };
}

/** Writes a contact sheet as PNG. */
export async function writeContactSheet(path: string, pictures: readonly Picture[], columns: number): Promise<void> {
  await writePng(path, contactSheet(pictures, columns));
}
