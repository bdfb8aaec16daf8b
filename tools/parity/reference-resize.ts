// Both resizes of the reference by themselves: where an image is fetched (variant A), and in its processor (variant B). Images that a
// model reads go through image/processor.ts.

import { cutPatches, type Patches, type PatchOptions } from "../../src/image/patches.ts";
import { resize } from "../../src/image/resize.ts";
import type { RgbImage } from "../../src/image/rgb.ts";
import { roundHalfEven } from "../../src/image/rounding.ts";
import {
  checkAspect,
  DEFAULT_FACTOR,
  FETCH_LIMITS,
  type PixelLimits,
  PROCESSOR_LIMITS,
  processorSize,
  smartResizeFetch,
} from "../../src/image/smart-resize.ts";

/** Limits of variant A where its training code does, in a copy of its own: 4 to 20160 merged positions. */
export const TRAINING_FETCH_LIMITS: PixelLimits = { minPixels: 4 * 784, maxPixels: 20160 * 784 };

/**
 * Variant B, in the processor: sides below `factor` are enlarged first, keeping the aspect, and nothing is raised
 * at the end, so that an extreme strip may get a side of 0 (as in the reference; after variant A it never does).
 */
export function smartResizeProcessor(
  height: number,
  width: number,
  limits: PixelLimits = PROCESSOR_LIMITS,
  factor = DEFAULT_FACTOR,
): [height: number, width: number] {
  if (height < factor) [height, width] = [factor, roundHalfEven((width * factor) / height)];
  if (width < factor) [height, width] = [roundHalfEven((height * factor) / width), factor];
  checkAspect(height, width);
  return processorSize(height, width, limits, factor);
}

/** The resize of the reference's `fetch_image`: variant A, bicubic. */
export function fetchResize(image: RgbImage, limits: PixelLimits = FETCH_LIMITS, factor = DEFAULT_FACTOR): RgbImage {
  const [height, width] = smartResizeFetch(image.height, image.width, limits, factor);
  return resize(image, width, height);
}

/** A fetched image through the processor: variant B, bicubic if that changes the size, then patches. */
export function processImage(image: RgbImage, options: PatchOptions, limits: PixelLimits = PROCESSOR_LIMITS): Patches {
  const [height, width] = smartResizeProcessor(
    image.height,
    image.width,
    limits,
    options.patchSize * options.mergeSize,
  );
  return cutPatches(resize(image, width, height), options);
}
