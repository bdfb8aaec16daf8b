// Encoded pictures to pixels and back, with sharp. Files come from strangers: the kind is told by the first bytes
// before any decoder sees them, and the size from the header before any pixel is decoded.

import { basename } from "node:path";
import { InputError, quote } from "../errors.ts";
import { writeAll } from "../runtime/atomic-file.ts";
import { openOutput } from "../runtime/output.ts";
import { checkSize, MAX_PIXELS, type Picture, pictureFromPixels } from "./picture.ts";
import { loadSharp } from "./sharp.node.ts";

/** Larger than any honest JPEG, PNG or WebP within the pixel limit is likely to be. */
export const MAX_FILE_BYTES = 100_000_000;

/** Decodes a JPEG, PNG or WebP, turned as its EXIF says; the first frame of an animation. Throws an InputError. */
export async function decodeImage(bytes: Uint8Array, name = "image"): Promise<Picture> {
  if (!findFormat(bytes)) {
    throw new InputError(`${name}: is not a JPEG, PNG or WebP file, the only kinds that are read`, {
      code: "invalid_image",
    });
  }
  const sharp = await loadSharp();
  // The header is read without sharp's own limit, so that the refusal can say the size.
  const { width, height } = await sharp(bytes, { limitInputPixels: false }).metadata().catch(refuse(name));
  checkSize(width, height, name);
  // Embedded colour profiles are ignored, as Pillow does in the reference.
  const image = sharp(bytes, { limitInputPixels: MAX_PIXELS, pages: 1, failOn: "error", ignoreIcc: true });
  const pixels = image.autoOrient().toColourspace("srgb").raw({ depth: "uchar" });
  const { data, info } = await pixels.toBuffer({ resolveWithObject: true }).catch(refuse(name));
  return pictureFromPixels(info.width, info.height, info.channels < 3 ? spreadGrey(data, info.channels) : data, name);
}

/** What an image is encoded as: PNG without loss, JPEG, or WebP. */
export type ImageFormat = "png" | "jpeg" | "webp";

const suffixes: Readonly<Record<string, ImageFormat>> = { png: "png", jpg: "jpeg", jpeg: "jpeg", webp: "webp" };

/** The format that a file's suffix names, in any case; throws an InputError for another suffix. */
export function formatOfName(name: string): ImageFormat {
  const format = suffixes[/\.(\w+)$/.exec(name)?.[1]?.toLowerCase() ?? ""];
  if (format) return format;
  throw new InputError(`${quote(name)}: the suffix decides the format: expected .png, .jpg, .jpeg or .webp`, {
    code: "output_refused",
  });
}

/** Hardly to be told from the original, at about a tenth of a PNG's size. */
const QUALITY = 92;

/** Encodes a picture. */
export async function encodeImage(picture: Picture, format: ImageFormat): Promise<Uint8Array> {
  const { width, height, data } = picture;
  const sharp = await loadSharp();
  const image = sharp(data, { raw: { width, height, channels: 3 } });
  const encoded = {
    png: () => image.png(),
    jpeg: () => image.jpeg({ quality: QUALITY }),
    webp: () => image.webp({ quality: QUALITY }),
  };
  return new Uint8Array(await encoded[format]().toBuffer());
}

/** Encodes a picture without loss. */
export function encodePng(picture: Picture): Promise<Uint8Array> {
  return encodeImage(picture, "png");
}

/** Writes a picture in the format that the suffix names: .png, .jpg, .jpeg or .webp. See openOutput for what a path may lead to. */
export async function writeImage(path: string, picture: Picture): Promise<void> {
  const format = formatOfName(path);
  const output = await openOutput(path);
  const bytes = await encodeImage(picture, format);
  await output.write((file) => writeAll(file, bytes));
}

/** As writeImage, of names that end in .png only. */
export async function writePng(path: string, picture: Picture): Promise<void> {
  if (formatOfName(path) !== "png")
    throw new InputError(`${quote(path)}: writePng writes names that end in .png; writeImage writes the others`, {
      code: "output_refused",
    });
  await writeImage(path, picture);
}

/** Names the kind of file by its first bytes; SVG, GIF, TIFF, HEIF and the rest are none of ours. */
export function findFormat(bytes: Uint8Array): ImageFormat | undefined {
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

/** Grey (and alpha) -> RGB (and alpha). */
function spreadGrey(grey: Uint8Array, channels: number): Uint8Array {
  const rgb = new Uint8Array((grey.length / channels) * (channels + 2));
  for (let from = 0, to = 0; from < grey.length; from += channels) {
    for (let channel = 0; channel < 3; channel++) rgb[to++] = grey[from]!;
    if (channels === 2) rgb[to++] = grey[from + 1]!;
  }
  return rgb;
}
