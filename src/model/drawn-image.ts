// An image that the model drew: its pixels with the codes that it was decoded from.

import { Image } from "../image/image.ts";
import type { RgbImage } from "../image/rgb.ts";
import type { Receipt } from "../receipt/receipt.ts";
import type { ImageCodes } from "../vision/image-codes.ts";

/** Positions that the language model read and wrote for an image. */
export interface DrawnUsage {
  readonly promptTokens: number;
  readonly completionTokens: number;
}

/** An image that the model drew. */
export class DrawnImage extends Image {
  /** The codes that the language model wrote for it. */
  readonly codes: ImageCodes;
  /** The same seed draws it again. */
  readonly seed: number;
  /** What `imagine` or `edit` took for it; absent for an image of a chat, whose last event counts all of the answer. */
  readonly usage?: DrawnUsage;

  constructor(pixels: RgbImage, codes: ImageCodes, seed: number, more: { receipt?: Receipt; usage?: DrawnUsage } = {}) {
    super(pixels, more.receipt);
    this.codes = codes;
    this.seed = seed;
    if (more.usage) this.usage = more.usage;
  }
}
