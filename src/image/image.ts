// An image as callers get it: pixels as sharp, a canvas and every call of this library take them, and an encoded file.

import { platform } from "#platform";
import type { Receipt } from "../receipt/receipt.ts";
import type { ImageFormat } from "./image-format.ts";
import type { RgbImage } from "./rgb.ts";

/** Bytes as `ImageData` wants them, whatever the version of TypeScript. */
export type RgbaBytes = InstanceType<typeof Uint8ClampedArray>;

/**
 * RGBA, 8 bits a channel, rows from the top, opaque. `sharp(image.data, { raw: image })` and
 * `new ImageData(image.data, image.width, image.height)` take it as it is.
 */
export class Image {
  readonly width: number;
  readonly height: number;
  readonly channels = 4;
  /** [height, width, 4] */
  readonly data: RgbaBytes;
  /** What it was drawn with; absent for a preview, and where `receipt` was false. A PNG of it keeps it. */
  readonly receipt?: Receipt;

  /** From pixels [height, width, 3]. */
  constructor({ width, height, data }: RgbImage, receipt?: Receipt) {
    this.width = width;
    this.height = height;
    if (receipt) this.receipt = receipt;
    this.data = new Uint8ClampedArray(width * height * 4).fill(255);
    for (let from = 0, to = 0; from < data.length; from += 3, to += 4) {
      this.data[to] = data[from]!;
      this.data[to + 1] = data[from + 1]!;
      this.data[to + 2] = data[from + 2]!;
    }
  }

  /** The image as a PNG file's bytes. */
  toPng(): Promise<Uint8Array> {
    return platform.encodeImage(this, "png");
  }

  /** The image as a file in memory, for a response, an upload or an object URL. */
  async toBlob(format: ImageFormat = "png"): Promise<Blob> {
    return new Blob([await platform.encodeImage(this, format)], { type: `image/${format}` });
  }
}
