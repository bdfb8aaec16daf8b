// Kinds of image files. Files come from strangers, so the kind is told by the first bytes before a decoder sees them.

import type { InputError } from "../errors.ts";
import { imageError } from "./image-error.ts";

/** What an image is encoded as: PNG without loss, JPEG, or WebP. */
export type ImageFormat = "png" | "jpeg" | "webp";

/** Bytes that a Blob takes, whatever the version of TypeScript. */
export type FileBytes = InstanceType<typeof Uint8Array>;

/** Hardly to be told from the original, at about a tenth of a PNG's size. */
export const QUALITY = 92;

/** Larger than any honest JPEG, PNG or WebP within the pixel limit is likely to be. */
export const MAX_FILE_BYTES = 100_000_000;

/** The kind of a file by its first bytes; throws an InputError for SVG, GIF, TIFF, HEIF and the rest. */
export function formatOf(bytes: Uint8Array, name: string): ImageFormat {
  const format = findFormat(bytes);
  if (format) return format;
  throw imageError(`${name}: is not a JPEG, PNG or WebP file, the only kinds that are read`);
}

export function findFormat(bytes: Uint8Array): ImageFormat | undefined {
  const startsWith = (text: string, at = 0) =>
    [...text].every((character, i) => bytes[at + i] === character.charCodeAt(0));
  if (startsWith("\x89PNG\r\n\x1a\n")) return "png";
  if (startsWith("\xff\xd8\xff")) return "jpeg";
  if (startsWith("RIFF") && startsWith("WEBP", 8)) return "webp";
  return undefined;
}

/** Whether a PNG's header says 16 bits of grey alone, which Pillow reads as a kind of its own. */
export function isGrey16(bytes: Uint8Array): boolean {
  return findFormat(bytes) === "png" && bytes[24] === 16 && bytes[25] === 0;
}

/** The refusal of a file that a decoder could not read. The decoder's own text may tell about the machine: it stays in `cause`. */
export function undecodable(name: string, cause?: unknown): InputError {
  return imageError(`${name}: cannot be decoded; the file is damaged or cut short`, cause);
}
