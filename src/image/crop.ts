// Crops for training targets: pictures for the autoencoder are scaled with Lanczos, unlike those for the encoder.

import type { Picture } from "./picture.ts";
import { resize } from "./resize.ts";
import { roundHalfEven } from "./rounding.ts";

/** A rectangle of a picture; what lies outside it is black, as in Pillow. */
export function crop(picture: Picture, left: number, top: number, width: number, height: number): Picture {
  const data = new Uint8Array(width * height * 3);
  const firstColumn = Math.max(left, 0);
  const endColumn = Math.min(left + width, picture.width);
  for (let y = Math.max(top, 0); y < Math.min(top + height, picture.height) && firstColumn < endColumn; y++) {
    const row = picture.data.subarray((y * picture.width + firstColumn) * 3, (y * picture.width + endColumn) * 3);
    data.set(row, ((y - top) * width + firstColumn - left) * 3);
  }
  return { width, height, data };
}

/** Scales a picture to cover width x height (Lanczos, sizes cut to integers) and keeps its middle. */
export function resizeAndCenterCrop(picture: Picture, width: number, height: number): Picture {
  const scale = Math.max(width / picture.width, height / picture.height);
  const newWidth = Math.trunc(picture.width * scale);
  const newHeight = Math.trunc(picture.height * scale);
  const scaled = resize(picture, newWidth, newHeight, "lanczos");
  return crop(scaled, roundHalfEven((newWidth - width) / 2), roundHalfEven((newHeight - height) / 2), width, height);
}
