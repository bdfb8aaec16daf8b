// A picture in memory: RGB, 8 bits a channel, rows from the top. The one form that the stages before and after the models use.

import { InputError } from "../errors.ts";
export interface Picture {
  readonly width: number;
  readonly height: number;
  /** [height, width, 3] */
  readonly data: Uint8Array;
}

/** What a caller may hand in: a path or URL, an encoded file's bytes, or pixels as RGB or RGBA (such as ImageData). */
export type ImageInput = string | URL | Uint8Array | ArrayBuffer | Blob | RawImage;

export interface RawImage {
  readonly width: number;
  readonly height: number;
  readonly data: ArrayLike<number>;
}

/** Enough for a 48-megapixel phone's 12-megapixel output and any screen; 120 MB of RGB. */
export const MAX_PIXELS = 40_000_000;

/** The limit of the reference's resize; a longer strip has no useful patches. */
export const MAX_ASPECT = 200;

/** Refuses sizes that no later step should meet; `name` says whose they are. */
export function checkSize(width: number, height: number, name: string): void {
  if (!(Number.isInteger(width) && Number.isInteger(height) && width >= 1 && height >= 1)) {
    throw new InputError(`${name}: expected a width and height of at least 1 pixel, got ${width} x ${height}`, {
      code: "invalid_image",
    });
  }
  if (width * height > MAX_PIXELS) {
    throw new InputError(
      `${name}: the picture has ${width} x ${height} pixels, at most ${MAX_PIXELS / 1e6} million are accepted`,
      { code: "invalid_image" },
    );
  }
  if (Math.max(width, height) > MAX_ASPECT * Math.min(width, height)) {
    throw new InputError(
      `${name}: the picture is ${width} x ${height}, the longer side may be at most ${MAX_ASPECT} times the shorter`,
      { code: "invalid_image" },
    );
  }
}

/** Makes a picture of RGB or RGBA bytes, told apart by their number; transparent parts become white. */
export function pictureFromPixels(width: number, height: number, data: ArrayLike<number>, name = "image"): Picture {
  checkSize(width, height, name);
  const channels = data.length / (width * height);
  if (channels === 3) return { width, height, data: Uint8Array.from(data) };
  if (channels === 4) return { width, height, data: pasteOnWhite(data) };
  throw new InputError(
    `${name}: ${width} x ${height} pixels have ${width * height * 3} bytes as RGB or ${width * height * 4} as RGBA, got ${data.length}`,
    { code: "invalid_image" },
  );
}

/** RGBA -> RGB over white, with Pillow's rounding: (t + 128 + ((t + 128) >> 8)) >> 8 for t / 255. */
function pasteOnWhite(rgba: ArrayLike<number>): Uint8Array {
  const rgb = new Uint8Array((rgba.length / 4) * 3);
  for (let from = 0, to = 0; from < rgba.length; from += 4) {
    const alpha = rgba[from + 3]!;
    for (let channel = 0; channel < 3; channel++) {
      const t = rgba[from + channel]! * alpha + 255 * (255 - alpha) + 128;
      rgb[to++] = (t + (t >> 8)) >> 8;
    }
  }
  return rgb;
}
