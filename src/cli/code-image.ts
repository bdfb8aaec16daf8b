// Codes as an image: one coloured grid per codebook, side by side in two rows.

import type { CodeFields, RgbImage } from "../index.ts";

const CELL = 8;
const GAP = 4;
const WHITE = 255;

/** Each code's hue follows from its number, so that neighbouring numbers look different. */
export function drawCodes({ grid: [rows, columns], codes }: CodeFields, codesPerBook: number): RgbImage {
  const books = codes.length / (rows * columns);
  const across = Math.ceil(books / 2);
  const [bookWidth, bookHeight] = [columns * CELL + GAP, rows * CELL + GAP];
  const width = across * bookWidth + GAP;
  const height = Math.ceil(books / across) * bookHeight + GAP;
  const data = new Uint8Array(width * height * 3).fill(WHITE);
  for (let book = 0; book < books; book++) {
    const left = GAP + (book % across) * bookWidth;
    const top = GAP + Math.floor(book / across) * bookHeight;
    for (let position = 0; position < rows * columns; position++) {
      const rgb = colourOf(codes[position * books + book]!, codesPerBook);
      const [y0, x0] = [top + Math.floor(position / columns) * CELL, left + (position % columns) * CELL];
      for (let y = y0; y < y0 + CELL; y++) {
        for (let x = x0; x < x0 + CELL; x++) data.set(rgb, (y * width + x) * 3);
      }
    }
  }
  return { width, height, data };
}

const GOLDEN = 0.618034;

/** RGB of a hue that turns by the golden ratio from code to code, with three levels of lightness. */
function colourOf(code: number, codesPerBook: number): [number, number, number] {
  const hue = ((code * GOLDEN) % 1) * 6;
  const light = 0.45 + 0.3 * (code / codesPerBook);
  const channel = (shift: number) => {
    const k = (hue + shift) % 6;
    return Math.round(255 * (light + 0.35 * Math.max(-1, Math.min(k - 3, 5 - k, 1)) * -0.8));
  };
  return [channel(5), channel(3), channel(1)].map((v) => Math.max(0, Math.min(255, v))) as [number, number, number];
}
