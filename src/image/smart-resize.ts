// The size at which an image enters the vision encoder: multiples of patch * merge, within a number of pixels.
// Two variants run one after the other in the reference: A where an image is fetched, B in the processor.

import { imageError } from "./image-error.ts";
import { MAX_ASPECT } from "./rgb.ts";
import { roundHalfEven } from "./rounding.ts";

export interface PixelLimits {
  readonly minPixels: number;
  readonly maxPixels: number;
}

/** A side of one merged position of the released encoder: patches of 14, merged 2 x 2. */
export const DEFAULT_FACTOR = 28;

/** Limits of variant A where the reference's demos fetch an image: 4 to 16384 merged positions. */
export const FETCH_LIMITS: PixelLimits = { minPixels: 4 * 784, maxPixels: 16384 * 784 };

/** Limits of the public Keye-VL-8B processor (variant B): 4 to 1280 merged positions. */
export const PROCESSOR_LIMITS: PixelLimits = { minPixels: 4 * 784, maxPixels: 1280 * 784 };

/** Variant A, where an image is fetched: small sides are raised to `factor` last. Returns [height, width]. */
export function smartResizeFetch(
  height: number,
  width: number,
  limits: PixelLimits = FETCH_LIMITS,
  factor = DEFAULT_FACTOR,
): [height: number, width: number] {
  checkAspect(height, width);
  const nearest = (side: number) => Math.max(factor, roundHalfEven(side / factor) * factor);
  const [h, w] = fitPixels(height, width, nearest(height), nearest(width), limits, factor);
  return [Math.max(h, factor), Math.max(w, factor)];
}

/** Variant B of an image that variant A has checked and sized: the reference checks again, and there may refuse A's rounding. */
export function processorSize(
  height: number,
  width: number,
  limits: PixelLimits,
  factor: number,
): [height: number, width: number] {
  const nearest = (side: number) => roundHalfEven(side / factor) * factor;
  return fitPixels(height, width, nearest(height), nearest(width), limits, factor);
}

/** Keeps rounded sides if they are within the limits, else scales the original ones just inside. */
function fitPixels(
  height: number,
  width: number,
  roundedHeight: number,
  roundedWidth: number,
  { minPixels, maxPixels }: PixelLimits,
  factor: number,
): [number, number] {
  const pixels = roundedHeight * roundedWidth;
  if (pixels > maxPixels) {
    const beta = Math.sqrt((height * width) / maxPixels);
    return [Math.floor(height / beta / factor) * factor, Math.floor(width / beta / factor) * factor];
  }
  if (pixels < minPixels) {
    const beta = Math.sqrt(minPixels / (height * width));
    return [Math.ceil((height * beta) / factor) * factor, Math.ceil((width * beta) / factor) * factor];
  }
  return [roundedHeight, roundedWidth];
}

export function checkAspect(height: number, width: number): void {
  if (Math.max(height, width) / Math.min(height, width) > MAX_ASPECT) {
    throw imageError(
      `The image is ${width} x ${height}, the longer side may be at most ${MAX_ASPECT} times the shorter`,
    );
  }
}
