// An image in memory: RGB, 8 bits a channel, rows from the top. The one form that the stages before and after the models use.

import { quote } from "../errors.ts";
import type { Receipt } from "../receipt/receipt.ts";
import { bytesOf, kindOf } from "../runtime/realm.ts";
import { imageError } from "./image-error.ts";
import { divide255 } from "./pixel-formats.ts";

export interface RgbImage {
  readonly width: number;
  readonly height: number;
  /** [height, width, 3] */
  readonly data: Uint8Array;
}

/** Pixels of a caller: 3 bytes each (RGB) or 4 (RGBA), rows from the top. */
export interface RawImage {
  readonly width: number;
  readonly height: number;
  readonly data: ArrayLike<number> | ArrayBufferLike;
  /** What it was drawn with: a PNG of it keeps that. */
  readonly receipt?: Receipt | undefined;
}

/** Enough for a 48-megapixel phone's 12-megapixel output and any screen; 120 MB of RGB. */
export const MAX_PIXELS = 40_000_000;

/** The limit of the reference's resize; a longer strip has no useful patches. */
export const MAX_ASPECT = 200;

function checkSides(width: number, height: number, name: string): void {
  if (Number.isInteger(width) && Number.isInteger(height) && width >= 1 && height >= 1) return;
  const got = `${quote(width)} x ${quote(height)}`;
  throw imageError(`${name}: expected a width and height of at least 1 pixel, got ${got}`);
}

/** Rejects sizes that no later step should meet; `name` says whose they are. */
export function checkSize(width: number, height: number, name = "image"): void {
  checkSides(width, height, name);
  if (width * height > MAX_PIXELS) {
    throw imageError(
      `${name}: the image has ${width} x ${height} pixels, at most ${MAX_PIXELS / 1e6} million are accepted`,
    );
  }
  if (Math.max(width, height) > MAX_ASPECT * Math.min(width, height)) {
    throw imageError(
      `${name}: the image is ${width} x ${height}, the longer side may be at most ${MAX_ASPECT} times the shorter`,
    );
  }
}

/** Makes an image of RGB or RGBA bytes, told apart by their number; transparent parts become white. */
export function imageFromPixels(width: number, height: number, data: Uint8Array, name = "image"): RgbImage {
  if (channelsOf(width, height, data.length, name) === 4) return { width, height, data: pasteOnWhite(data) };
  return { width, height, data: new Uint8Array(data) };
}

/** Pixels of a caller as an image of its own, of any size. Throws an InputError for what is not bytes. */
export function readPixels(pixels: RawImage, name = "image"): RgbImage {
  if (typeof pixels !== "object" || pixels === null) {
    throw imageError(`${name}: expected pixels as { width, height, data }, got ${quote(pixels)}`);
  }
  const { width, height, data } = pixels;
  checkSides(width, height, name);
  const bytes = bytesOf(data);
  // Negative numbers are not bytes, although they have the same length.
  if (bytes && kindOf(data) !== "Int8Array") return imageFromPixels(width, height, bytes, name);
  if (!Array.isArray(data) && !ArrayBuffer.isView(data)) {
    throw imageError(`${name}: expected pixels in a Uint8Array, got ${quote(data)}`);
  }
  const values = data as ArrayLike<number>;
  channelsOf(width, height, values.length, name);
  return imageFromPixels(width, height, toBytes(values, name), name);
}

function channelsOf(width: number, height: number, length: number, name: string): 3 | 4 {
  const channels = length / (width * height);
  if (channels === 3 || channels === 4) return channels;
  const wanted = `${width * height * 3} bytes as RGB or ${width * height * 4} as RGBA`;
  const advice = channels === 1 ? "; repeat the one channel of a grey image three times" : "";
  throw imageError(`${name}: ${width} x ${height} pixels have ${wanted}, got ${length}${advice}`);
}

/** Values that are integers from 0 to 255, in whatever array. */
function toBytes(values: ArrayLike<unknown>, name: string): Uint8Array {
  const refuse = (got: string, advice: string) =>
    imageError(`${name}: expected pixels as bytes, integers from 0 to 255, got ${got}${advice}`);
  const bytes = new Uint8Array(values.length);
  for (let i = 0; i < values.length; i++) {
    const value = values[i];
    if (!(typeof value === "number" && Number.isInteger(value) && value >= 0 && value <= 255)) {
      const isLevel = typeof value === "number" && value > 0 && value < 1;
      throw refuse(`${quote(value)} at ${i}`, isLevel ? "; multiply by 255 and round" : "");
    }
    bytes[i] = value;
  }
  // Floats in which nothing is above 1 are a mask, or levels from 0 to 1.
  if (kindOf(values).startsWith("Float") && bytes.includes(1) && bytes.every((value) => value <= 1)) {
    throw refuse(`a ${kindOf(values)} of 0 and 1`, "; multiply by 255");
  }
  return bytes;
}

/** RGBA -> RGB over white, with Pillow's rounding. */
function pasteOnWhite(rgba: Uint8Array): Uint8Array {
  const rgb = new Uint8Array((rgba.length / 4) * 3);
  for (let from = 0, to = 0; from < rgba.length; from += 4) {
    const alpha = rgba[from + 3]!;
    for (let channel = 0; channel < 3; channel++) {
      rgb[to++] = divide255(rgba[from + channel]! * alpha + 255 * (255 - alpha));
    }
  }
  return rgb;
}
