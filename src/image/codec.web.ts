// Encoded images to pixels and back in a browser. The pixels are those that codec.node.ts gives, so codes are the same; of what the
// browser decodes otherwise, 16 bits of grey are read here, and CMYK is rejected.

import { InputError } from "../errors.ts";
import { withReceipt } from "../receipt/receipt.ts";
import { readGrey16 } from "./grey16.ts";
import { imageError } from "./image-error.ts";
import { type FileBytes, formatOf, type ImageFormat, isGrey16, QUALITY, undecodable } from "./image-format.ts";
import { readImageHeader } from "./image-header.ts";
import { clipGrey16, spreadGrey } from "./pixel-formats.ts";
import { checkSize, imageFromPixels, type RawImage, type RgbImage, readPixels } from "./rgb.ts";

/** Decodes a JPEG, PNG or WebP, turned as its EXIF says; the first frame of an animation. Throws an InputError. */
export async function decodeImage(bytes: Uint8Array, name = "image"): Promise<RgbImage> {
  const format = formatOf(bytes, name);
  const { width, height, channels, orientation = 1 } = readImageHeader(bytes, format, name);
  checkSize(width, height, name);
  const grey = isGrey16(bytes) ? await readGrey16(bytes, { width, height }, name) : undefined;
  if (grey) return imageFromPixels(width, height, spreadGrey(clipGrey16(grey, 1), 1), name);
  if (channels === 4 || isGrey16(bytes)) {
    const kind = channels === 4 ? "a JPEG in CMYK" : "a PNG of 16-bit grey that is interlaced, transparent or has EXIF";
    throw imageError(`${name}: is ${kind}, which browsers decode in their own way: convert it to RGB of 8 bits`);
  }
  // Embedded colour profiles are ignored, as Pillow does in the reference.
  const options = { colorSpaceConversion: "none", premultiplyAlpha: "none" } as const;
  const bitmap = await createImageBitmap(new Blob([new Uint8Array(bytes)], { type: `image/${format}` }), options).catch(
    (cause) => {
      throw undecodable(name, cause);
    },
  );
  try {
    const [w, h] = [bitmap.width, bitmap.height];
    const context = orientation > 4 ? contextOf(h, w) : contextOf(w, h);
    context.setTransform(...turns[orientation - 1]!(w, h));
    context.drawImage(bitmap, 0, 0);
    // The canvas multiplies by alpha and divides again; over white the rounding cancels out.
    const { canvas } = context;
    const { data } = context.getImageData(0, 0, canvas.width, canvas.height);
    return imageFromPixels(canvas.width, canvas.height, new Uint8Array(data.buffer), name);
  } finally {
    bitmap.close();
  }
}

type Matrix = [a: number, b: number, c: number, d: number, e: number, f: number];

/** What EXIF's orientations 1 to 8 do to an image of width w and height h. */
const turns: readonly ((w: number, h: number) => Matrix)[] = [
  () => [1, 0, 0, 1, 0, 0],
  (w) => [-1, 0, 0, 1, w, 0],
  (w, h) => [-1, 0, 0, -1, w, h],
  (_, h) => [1, 0, 0, -1, 0, h],
  () => [0, 1, 1, 0, 0, 0],
  (_, h) => [0, 1, -1, 0, h, 0],
  (w, h) => [0, -1, -1, 0, h, w],
  (w) => [0, -1, 1, 0, 0, w],
];

/** Encodes an image; a PNG with its receipt, if it has one. */
export async function encodeImage(image: RawImage, format: ImageFormat): Promise<FileBytes> {
  const { width, height, data } = readPixels(image);
  const rgba = new Uint8ClampedArray(4 * width * height).fill(255);
  for (let i = 0; i < width * height; i++) rgba.set(data.subarray(3 * i, 3 * i + 3), 4 * i);
  const context = contextOf(width, height);
  context.putImageData(new ImageData(rgba, width, height), 0, 0);
  const blob = await context.canvas.convertToBlob({ type: `image/${format}`, quality: QUALITY / 100 });
  return withReceipt(new Uint8Array(await blob.arrayBuffer()), format, image.receipt);
}

function contextOf(width: number, height: number): OffscreenCanvasRenderingContext2D {
  const context = new OffscreenCanvas(width, height).getContext("2d", { willReadFrequently: true });
  if (!context) throw new InputError(`The browser has no canvas of ${width} x ${height} pixels`);
  context.imageSmoothingEnabled = false;
  return context;
}
