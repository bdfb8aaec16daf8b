// From a picture of any size to the patches that a model reads: the resize where the reference fetches a picture (variant A),
// then that of its processor (variant B), as preprocessor_config.json says.

import { cutPatches, fetchResize, type Patches, type PatchOptions } from "./patches.ts";
import type { Picture } from "./picture.ts";
import { resize } from "./resize.ts";
import { DEFAULT_FACTOR, FETCH_LIMITS, type PixelLimits, processorSize } from "./smart-resize.ts";

/** What a picture is made to fit beside the model's own limits. */
export interface PictureFit {
  /** It is first brought to a square with so many pixels a side (Lanczos; its aspect is not kept). */
  readonly imageSize?: number | undefined;
  /** Merged positions at most, heeded where the picture is fetched. */
  readonly maxPositions?: number | undefined;
}

/** Patches of a picture within the model's limits. Throws an InputError for shapes longer than 200 to 1. */
export function preparePicture(
  picture: Picture,
  options: PatchOptions,
  limits: PixelLimits,
  { imageSize, maxPositions = Number.POSITIVE_INFINITY }: PictureFit = {},
): Patches {
  const factor = options.patchSize * options.mergeSize;
  // The limits of the reference's fetch count merged positions; theirs have 28 pixels a side.
  const scale = (factor / DEFAULT_FACTOR) ** 2;
  const minPixels = FETCH_LIMITS.minPixels * scale;
  const maxPixels = Math.min(FETCH_LIMITS.maxPixels * scale, maxPositions * factor ** 2);
  const square = imageSize === undefined ? picture : resize(picture, imageSize, imageSize, "lanczos");
  const fetched = fetchResize(square, { minPixels, maxPixels }, factor);
  // A strip of 143 to 1 may have become one of 206 to 1, as its short side was rounded: it is read nevertheless.
  const [height, width] = processorSize(fetched.height, fetched.width, limits, factor);
  // A long strip under a low limit would get a side of 0, which the reference does not guard against.
  return cutPatches(resize(fetched, Math.max(width, factor), Math.max(height, factor)), options);
}
