// Encoded images to pixels and back, with sharp. Files come from strangers: the kind is told by the first bytes
// before any decoder sees them, and the size from the header before any pixel is decoded.

import { basename } from "node:path";
import type { Sharp } from "sharp";
import { withReceipt } from "../receipt/receipt.ts";
import { type FileBytes, formatOf, type ImageFormat, isGrey16, QUALITY, undecodable } from "./image-format.ts";
import { clipGrey16, cmykToRgb, spreadGrey } from "./pixel-formats.ts";
import { checkSize, imageFromPixels, MAX_PIXELS, type RawImage, type RgbImage, readPixels } from "./rgb.ts";
import { loadSharp } from "./sharp.node.ts";

/** Decodes a JPEG, PNG or WebP, turned as its EXIF says; the first frame of an animation. Throws an InputError. */
export async function decodeImage(bytes: Uint8Array, name = "image"): Promise<RgbImage> {
  formatOf(bytes, name);
  const sharp = await loadSharp();
  // The header is read without sharp's own limit, so that the refusal can say the size.
  const { width, height, space } = await sharp(asBuffer(bytes), { limitInputPixels: false })
    .metadata()
    .catch(refuse(name));
  checkSize(width, height, name);
  // Embedded colour profiles are ignored, as Pillow does in the reference.
  const image = sharp(asBuffer(bytes), {
    limitInputPixels: MAX_PIXELS,
    pages: 1,
    failOn: "error",
    ignoreIcc: true,
  }).autoOrient();
  const read = (pixels: Sharp) => pixels.toBuffer({ resolveWithObject: true }).catch(refuse(name));
  if (space === "cmyk") {
    const { data, info } = await read(image.pipelineColourspace("cmyk").toColourspace("cmyk").raw());
    return imageFromPixels(info.width, info.height, cmykToRgb(data), name);
  }
  if (isGrey16(bytes)) {
    const { data, info } = await read(image.toColourspace("grey16").raw({ depth: "ushort" }));
    const grey = clipGrey16(new Uint16Array(Uint8Array.from(data).buffer), info.channels);
    return imageFromPixels(info.width, info.height, spreadGrey(grey, info.channels), name);
  }
  const { data, info } = await read(image.toColourspace("srgb").raw({ depth: "uchar" }));
  return imageFromPixels(info.width, info.height, info.channels < 3 ? spreadGrey(data, info.channels) : data, name);
}

/** Encodes an image; a PNG with its receipt, if it has one. */
export async function encodeImage(image: RawImage, format: ImageFormat): Promise<FileBytes> {
  const { width, height, data } = readPixels(image);
  const sharp = await loadSharp();
  const encoder = sharp(asBuffer(data), { raw: { width, height, channels: 3 } });
  const encoded = {
    png: () => encoder.png(),
    jpeg: () => encoder.jpeg({ quality: QUALITY }),
    webp: () => encoder.webp({ quality: QUALITY }),
  };
  return withReceipt(new Uint8Array(await encoded[format]().toBuffer()), format, image.receipt);
}

/** Encodes an image without loss. */
export function encodePng(image: RawImage): Promise<Uint8Array> {
  return encodeImage(image, "png");
}

/** The same bytes as sharp takes them: in another realm, such as Jest's, it knows no Uint8Array. */
function asBuffer({ buffer, byteOffset, byteLength }: Uint8Array): Buffer {
  return Buffer.from(buffer, byteOffset, byteLength);
}

function refuse(name: string): (error: unknown) => never {
  return (cause) => {
    throw undecodable(basename(name), cause);
  };
}
