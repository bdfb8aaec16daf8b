// Images as the autoencoder and other networks that are trained, or measure, read them.

import { imageError } from "../image/image-error.ts";
import type { RgbImage } from "../image/rgb.ts";
import { f32, type HostTensor } from "../runtime/host-tensor.ts";

/** Images of one size -> [B, 3, h, w]: u8 / 255, then (v - 0.5) / 0.5. */
export function planesOf(images: readonly RgbImage[]): HostTensor {
  const [first] = images;
  if (!first) throw imageError("Expected at least one image");
  const { width, height } = first;
  const area = width * height;
  const data = new Float32Array(images.length * 3 * area);
  images.forEach((image, n) => {
    if (image.width !== width || image.height !== height) {
      throw imageError(`Images of one batch differ: ${width} x ${height} and ${image.width} x ${image.height}`);
    }
    for (let i = 0; i < area; i++) {
      for (let c = 0; c < 3; c++) data[(n * 3 + c) * area + i] = image.data[3 * i + c]! / 127.5 - 1;
    }
  });
  return f32(data, [images.length, 3, height, width]);
}
