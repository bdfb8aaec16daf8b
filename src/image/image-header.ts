// Size and kind of pixels of an encoded image, read from its header before a decoder sees the file: browsers have no limit of their own.

import type { ImageFormat } from "./image-format.ts";
import { undecodable } from "./image-format.ts";

export interface ImageHeader {
  readonly width: number;
  readonly height: number;
  /** Channels of a JPEG's coding; 4 is CMYK. */
  readonly channels?: number;
  /** Of a WebP's EXIF, 1 to 8, which browsers do not heed; they do that of the others. */
  readonly orientation?: number;
}

/** Throws an InputError for a header that is cut or malformed; `name` is for messages. */
export function readImageHeader(bytes: Uint8Array, format: ImageFormat, name: string): ImageHeader {
  const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
  try {
    const header = { png: readPng, jpeg: readJpeg, webp: readWebp }[format](view);
    if (header) return header;
  } catch (cause) {
    if (!(cause instanceof RangeError)) throw cause; // read beyond the end
  }
  throw undecodable(name);
}

function readPng(view: DataView): ImageHeader | undefined {
  if (view.getUint32(12) !== tag("IHDR")) return undefined;
  return { width: view.getUint32(16), height: view.getUint32(20) };
}

/** The first frame header (SOF), past all segments before it. */
function readJpeg(view: DataView): ImageHeader | undefined {
  for (let at = 2; ; ) {
    if (view.getUint8(at) !== 0xff) return undefined;
    const marker = view.getUint8(at + 1);
    const isFill = marker === 0xff;
    const isFrame = marker >= 0xc0 && marker <= 0xcf && ![0xc4, 0xc8, 0xcc].includes(marker);
    if (isFrame)
      return { height: view.getUint16(at + 5), width: view.getUint16(at + 7), channels: view.getUint8(at + 9) };
    at += isFill ? 1 : 2 + Math.max(2, view.getUint16(at + 2));
  }
}

/** Of the three forms of WebP: extended, lossy, lossless. */
function readWebp(view: DataView): ImageHeader | undefined {
  const kind = view.getUint32(12);
  const bits24 = (at: number) => view.getUint16(at, true) | (view.getUint8(at + 2) << 16);
  if (kind === tag("VP8X"))
    return { width: bits24(24) + 1, height: bits24(27) + 1, orientation: findOrientation(view) };
  if (kind === tag("VP8 "))
    return { width: view.getUint16(26, true) & 0x3fff, height: view.getUint16(28, true) & 0x3fff };
  if (kind !== tag("VP8L")) return undefined;
  const packed = view.getUint32(21, true);
  return { width: (packed & 0x3fff) + 1, height: ((packed >>> 14) & 0x3fff) + 1 };
}

/** By the EXIF chunk of a WebP; 1 where there is none or it cannot be read. */
function findOrientation(view: DataView): number {
  for (let at = 12; at + 8 <= view.byteLength; ) {
    const length = view.getUint32(at + 4, true);
    if (view.getUint32(at) === tag("EXIF")) return readOrientation(view, at + 8);
    at += 8 + length + (length % 2);
  }
  return 1;
}

/** The tag 0x0112 in the first directory of a TIFF header, which the six letters of a JPEG's EXIF may precede. */
function readOrientation(view: DataView, at: number): number {
  const start = view.getUint32(at) === tag("Exif") ? at + 6 : at;
  const isLittle = view.getUint16(start) === 0x4949;
  const directory = start + view.getUint32(start + 4, isLittle);
  const entries = view.getUint16(directory, isLittle);
  for (let i = 0; i < entries; i++) {
    const entry = directory + 2 + 12 * i;
    if (view.getUint16(entry, isLittle) !== 0x0112) continue;
    const value = view.getUint16(entry + 8, isLittle);
    return value >= 1 && value <= 8 ? value : 1;
  }
  return 1;
}

function tag(text: string): number {
  return [...text].reduce((value, character) => value * 256 + character.charCodeAt(0), 0);
}
