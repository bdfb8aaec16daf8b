// Which positions of an image an edit may rewrite: a value for each of them, or an image whose light parts say so.

import { InputError, quote } from "../errors.ts";
import type { ImageInput } from "./image-input.ts";
import type { RgbImage } from "./rgb.ts";

/**
 * An image of any size, white where to rewrite and black where to keep (transparent counts as white); or a value for each position in
 * raster order, true or 1 where to rewrite, as one list or a list for each row.
 */
export type MaskInput = ImageInput | readonly (boolean | number)[] | readonly (readonly (boolean | number)[])[];

/** The positions of a mask that is a list; undefined for one that is an image. Throws an InputError for a list that does not fit. */
export function readMaskList(mask: unknown, [rows, columns]: readonly [number, number]): boolean[] | undefined {
  const list = Array.isArray(mask) ? mask.flat() : shortView(mask, rows * columns);
  if (!list) return undefined;
  const wanted = `Expected \`mask\` to have ${rows} x ${columns} values, one for each position`;
  if (list.length !== rows * columns) throw refuse(`${wanted}, got ${list.length}`);
  return list.map((value) => {
    if (value === true || value === 1) return true;
    if (value === false || value === 0) return false;
    throw refuse(`${wanted}, true or false, got ${quote(value)}`);
  });
}

/** A typed array as a list of values. Bytes of a file are typed arrays too, but of other values. */
function shortView(mask: unknown, positions: number): number[] | undefined {
  if (!ArrayBuffer.isView(mask) || !("length" in mask) || mask.length !== positions) return undefined;
  const list = Array.from(mask as unknown as ArrayLike<number>);
  return list.every((value) => value === 0 || value === 1) ? list : undefined;
}

/** The positions whose part of a mask is light on average. */
export function readMaskImage(
  { width, height, data }: RgbImage,
  [rows, columns]: readonly [number, number],
): boolean[] {
  return Array.from({ length: rows * columns }, (_, position) => {
    const [row, column] = [Math.floor(position / columns), position % columns];
    const [top, bottom] = [Math.floor((row * height) / rows), Math.ceil(((row + 1) * height) / rows)];
    const [left, right] = [Math.floor((column * width) / columns), Math.ceil(((column + 1) * width) / columns)];
    let sum = 0;
    for (let y = top; y < bottom; y++) {
      for (let at = (y * width + left) * 3; at < (y * width + right) * 3; at++) sum += data[at]!;
    }
    return sum / ((bottom - top) * (right - left) * 3) >= 127.5;
  });
}

/** Throws an InputError for a mask that leaves everything as it is. */
export function checkMask(positions: readonly boolean[]): void {
  if (!positions.includes(true))
    throw refuse("`mask` selects no position: white, or true, is where the image is rewritten");
}

function refuse(message: string): InputError {
  return new InputError(message, { code: "invalid_option" });
}
