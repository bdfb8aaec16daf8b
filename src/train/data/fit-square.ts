// Fits images of any shape into squares of one size, as training graphs need: scaled, on white, so that nothing that a caption
// mentions is cropped and nothing is stretched.

import { resize } from "../../image/resize.ts";
import type { RgbImage } from "../../image/rgb.ts";

/** [side, side, 3]; an image of this size is returned unchanged. */
export function fitSquare(image: RgbImage, side: number): RgbImage {
  if (image.width === side && image.height === side) return image;
  const scale = side / Math.max(image.width, image.height);
  const [width, height] = [image.width, image.height].map((length) => Math.max(1, Math.round(length * scale))) as [
    number,
    number,
  ];
  const fitted = resize(image, width, height);
  const data = new Uint8Array(side * side * 3).fill(255);
  const [left, top] = [Math.floor((side - width) / 2), Math.floor((side - height) / 2)];
  for (let y = 0; y < height; y++) {
    data.set(fitted.data.subarray(y * width * 3, (y + 1) * width * 3), ((top + y) * side + left) * 3);
  }
  return { width: side, height: side, data };
}
