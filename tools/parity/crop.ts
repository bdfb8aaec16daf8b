// Crops for training targets: images for the autoencoder are scaled with Lanczos, unlike those for the encoder.

import { resize } from "../../src/image/resize.ts";
import type { RgbImage } from "../../src/image/rgb.ts";
import { roundHalfEven } from "../../src/image/rounding.ts";

/** A rectangle of an image; what lies outside it is black, as in Pillow. */
export function crop(image: RgbImage, left: number, top: number, width: number, height: number): RgbImage {
  const data = new Uint8Array(width * height * 3);
  const firstColumn = Math.max(left, 0);
  const endColumn = Math.min(left + width, image.width);
  for (let y = Math.max(top, 0); y < Math.min(top + height, image.height) && firstColumn < endColumn; y++) {
    const row = image.data.subarray((y * image.width + firstColumn) * 3, (y * image.width + endColumn) * 3);
    data.set(row, ((y - top) * width + firstColumn - left) * 3);
  }
  return { width, height, data };
}

/** Scales an image to cover width x height (Lanczos, sizes cut to integers) and keeps its middle. */
export function resizeAndCenterCrop(image: RgbImage, width: number, height: number): RgbImage {
  const scale = Math.max(width / image.width, height / image.height);
  const newWidth = Math.trunc(image.width * scale);
  const newHeight = Math.trunc(image.height * scale);
  const scaled = resize(image, newWidth, newHeight, "lanczos");
  return crop(scaled, roundHalfEven((newWidth - width) / 2), roundHalfEven((newHeight - height) / 2), width, height);
}
