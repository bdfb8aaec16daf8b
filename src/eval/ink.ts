// Finds the ink in an image of lettering: pixels that differ from the border colour.

import type { RgbImage } from "../image/rgb.ts";

const INK_DISTANCE = 60;

export interface InkBox {
  readonly left: number;
  readonly top: number;
  /** Exclusive. */
  readonly right: number;
  readonly bottom: number;
}

/** The smallest box around all ink; undefined if there is none. */
export function inkBox({ width, height, data }: RgbImage): InkBox | undefined {
  const border: [number[], number[], number[]] = [[], [], []];
  for (let y = 0; y < height; y++) {
    for (let x = 0; x < width; x++) {
      if (y > 0 && y < height - 1 && x > 0 && x < width - 1) continue;
      for (const c of [0, 1, 2] as const) border[c].push(data[(y * width + x) * 3 + c]!);
    }
  }
  const paper = border.map((values) => values.sort((a, b) => a - b)[values.length >> 1]!);
  let [left, top, right, bottom] = [width, height, 0, 0];
  for (let y = 0; y < height; y++) {
    for (let x = 0; x < width; x++) {
      const at = (y * width + x) * 3;
      if (Math.hypot(...paper.map((value, c) => data[at + c]! - value)) < INK_DISTANCE) continue;
      [left, top] = [Math.min(left, x), Math.min(top, y)];
      [right, bottom] = [Math.max(right, x + 1), Math.max(bottom, y + 1)];
    }
  }
  return right > left ? { left, top, right, bottom } : undefined;
}
