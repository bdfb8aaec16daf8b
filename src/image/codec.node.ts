// Encoded pictures to pixels and back, with sharp. Files come from strangers: the kind is told by the first bytes
// before any decoder sees them, and the size from the header before any pixel is decoded.

import { basename } from "node:path";
import sharp, { type Sharp } from "sharp";
import { InputError } from "../errors.ts";
import { replaceFile, writeAll } from "../runtime/atomic-file.ts";
import { checkSize, MAX_PIXELS, type Picture, pictureFromPixels } from "./picture.ts";
import { clipGrey16, cmykToRgb, spreadGrey } from "./pixel-formats.ts";

/** Larger than any honest JPEG, PNG or WebP within the pixel limit is likely to be. */
export const MAX_FILE_BYTES = 100_000_000;

/** Decodes a JPEG, PNG or WebP, turned as its EXIF says; the first frame of an animation. Throws an InputError. */
export async function decodeImage(bytes: Uint8Array, name = "image"): Promise<Picture> {
  if (!findFormat(bytes)) {
    throw new InputError(`${name}: is not a JPEG, PNG or WebP file, the only kinds that are read`, {
      code: "invalid_image",
    });
  }
  // The header is read without sharp's own limit, so that the refusal can say the size.
  const { width, height, space } = await sharp(bytes, { limitInputPixels: false }).metadata().catch(refuse(name));
  checkSize(width, height, name);
  // Embedded colour profiles are ignored, as Pillow does in the reference.
  const image = sharp(bytes, { limitInputPixels: MAX_PIXELS, pages: 1, failOn: "error", ignoreIcc: true }).autoOrient();
  const read = (pixels: Sharp) => pixels.toBuffer({ resolveWithObject: true }).catch(refuse(name));
  if (space === "cmyk") {
    const { data, info } = await read(image.pipelineColourspace("cmyk").toColourspace("cmyk").raw());
    return pictureFromPixels(info.width, info.height, cmykToRgb(data), name);
  }
  if (isGrey16(bytes)) {
    const { data, info } = await read(image.toColourspace("grey16").raw({ depth: "ushort" }));
    const grey = clipGrey16(new Uint16Array(Uint8Array.from(data).buffer), info.channels);
    return pictureFromPixels(info.width, info.height, spreadGrey(grey, info.channels), name);
  }
  const { data, info } = await read(image.toColourspace("srgb").raw({ depth: "uchar" }));
  return pictureFromPixels(info.width, info.height, info.channels < 3 ? spreadGrey(data, info.channels) : data, name);
}

/** Whether a PNG's header says 16 bits of grey alone, which Pillow reads as a kind of its own. */
function isGrey16(bytes: Uint8Array): boolean {
  return findFormat(bytes) === "png" && bytes[24] === 16 && bytes[25] === 0;
}

/** Encodes a picture without loss. */
export async function encodePng({ width, height, data }: Picture): Promise<Uint8Array> {
  return new Uint8Array(
    await sharp(data, { raw: { width, height, channels: 3 } })
      .png()
      .toBuffer(),
  );
}

/** Writes a picture as PNG; the file appears whole or not at all. */
export async function writePng(path: string, picture: Picture): Promise<void> {
  const bytes = await encodePng(picture);
  await replaceFile(path, (file) => writeAll(file, bytes)).catch((error: NodeJS.ErrnoException) => {
    throw new InputError(`${path}: cannot be written (${error.code ?? error.message})`, {
      code: "output_refused",
      cause: error,
    });
  });
}

/** Names the kind of file by its first bytes; SVG, GIF, TIFF, HEIF and the rest are none of ours. */
export function findFormat(bytes: Uint8Array): "jpeg" | "png" | "webp" | undefined {
  const startsWith = (text: string, at = 0) =>
    [...text].every((character, i) => bytes[at + i] === character.charCodeAt(0));
  if (startsWith("\x89PNG\r\n\x1a\n")) return "png";
  if (startsWith("\xff\xd8\xff")) return "jpeg";
  if (startsWith("RIFF") && startsWith("WEBP", 8)) return "webp";
  return undefined;
}

/** The decoder's own text may tell about the machine, so it is kept as the cause only. */
function refuse(name: string): (error: unknown) => never {
  return (cause) => {
    throw new InputError(`${basename(name)}: cannot be decoded; the file is damaged or cut short`, {
      code: "invalid_image",
      cause,
    });
  };
}
