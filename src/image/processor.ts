// From an image of any size to the patches that a model reads: the resize where the reference fetches an image (variant A),
// then that of its processor (variant B), as preprocessor_config.json says.

import { imageError } from "./image-error.ts";
import { cutPatches, MAX_PATCHES, type Patches, type PatchOptions } from "./patches.ts";
import { resize } from "./resize.ts";
import type { RgbImage } from "./rgb.ts";
import { DEFAULT_FACTOR, FETCH_LIMITS, type PixelLimits, processorSize, smartResizeFetch } from "./smart-resize.ts";

/** How images are prepared for a model: the form of its patches, and how many pixels it reads. */
export interface Preparation extends PatchOptions, PixelLimits {}

/** What an image is made to fit beside the model's own limits. */
export interface ImageFit {
  /** It is first brought to a square with so many pixels a side (Lanczos; its aspect is not kept). */
  readonly imageSize?: number | undefined;
  /** Merged positions at most, heeded where the image is fetched. */
  readonly maxPositions?: number | undefined;
}

/**
 * Patches of an image within the model's limits. Throws an InputError for shapes longer than 200 to 1, and for more patches than
 * one run may hold.
 */
export function prepareImage(image: RgbImage, preparation: Preparation, fit: ImageFit = {}): Patches {
  const { fetched, prepared } = preparedSizes(image, preparation, fit);
  const { imageSize } = fit;
  const square = imageSize === undefined ? image : resize(image, imageSize, imageSize, "lanczos");
  const first = resize(square, fetched.width, fetched.height);
  return cutPatches(resize(first, prepared.width, prepared.height), preparation);
}

/**
 * An image whose patches make `grid` positions: itself where they do, otherwise brought to that size (Lanczos; its aspect is not
 * kept). Throws an InputError where the model's limits do not let a grid be.
 */
export function fitGrid(
  image: RgbImage,
  [rows, columns]: readonly [rows: number, columns: number],
  preparation: Preparation,
): RgbImage {
  const factor = preparation.patchSize * preparation.mergeSize;
  const fits = (size: Size) => {
    const { prepared } = preparedSizes(size, preparation);
    return prepared.width === columns * factor && prepared.height === rows * factor;
  };
  if (fits(image)) return image;
  const size = { width: columns * factor, height: rows * factor };
  if (fits(size)) return resize(image, size.width, size.height, "lanczos");
  throw imageError(`The model reads no image of ${rows} x ${columns} positions, which are those that it draws`);
}

type Size = Pick<RgbImage, "width" | "height">;

/** The sizes that prepareImage gives an image, one after the other, known before any work. Throws as it does. */
export function preparedSizes(
  { width, height }: Size,
  { patchSize, mergeSize, ...limits }: Preparation,
  { imageSize, maxPositions = Number.POSITIVE_INFINITY }: ImageFit = {},
): { readonly fetched: Size; readonly prepared: Size } {
  const factor = patchSize * mergeSize;
  // The limits of the reference's fetch count merged positions; theirs have 28 pixels a side.
  const scale = (factor / DEFAULT_FACTOR) ** 2;
  const minPixels = FETCH_LIMITS.minPixels * scale;
  const maxPixels = Math.min(FETCH_LIMITS.maxPixels * scale, maxPositions * factor ** 2);
  const fetchLimits = { minPixels, maxPixels };
  const [fetchedHeight, fetchedWidth] = smartResizeFetch(imageSize ?? height, imageSize ?? width, fetchLimits, factor);
  // A strip of 143 to 1 may have become one of 206 to 1, as its short side was rounded: it is read nevertheless.
  const sides = processorSize(fetchedHeight, fetchedWidth, limits, factor);
  // A long strip under a low limit would get a side of 0, which the reference does not guard against.
  const [preparedHeight, preparedWidth] = sides.map((side) => Math.max(side, factor)) as [number, number];
  const patches = (preparedHeight * preparedWidth) / patchSize ** 2;
  if (patches > MAX_PATCHES) {
    throw imageError(
      `The model's limits make ${patches} patches of an image of ${width} x ${height}, at most ${MAX_PATCHES} are read at once`,
    );
  }
  return {
    fetched: { width: fetchedWidth, height: fetchedHeight },
    prepared: { width: preparedWidth, height: preparedHeight },
  };
}
