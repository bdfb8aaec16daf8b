// The codes of an image as few bytes as they need: a header, then each code in as many bits as the largest one takes.
//
//   0  "KXC1"          4  rows u16       6  columns u16     8  codes per position u8     9  bits per code u8
//  10  width u32      14  height u32    18  codes, the lowest bit first, in raster order; the last byte is filled with zeros
//
// All integers are little-endian; a width and height of 0 are unknown. 288 codes of books with 256 entries take 306 bytes.

import { InputError } from "../errors.ts";
import type { CodeFields } from "./image-codes.ts";

const MAGIC = 0x3143584b; // "KXC1"
const HEADER = 18;

export function packCodes({ grid: [rows, columns], codes, width = 0, height = 0 }: CodeFields): Uint8Array {
  const bits = Math.max(1, 32 - Math.clz32(codes.reduce((most, code) => Math.max(most, code), 0)));
  const bytes = new Uint8Array(HEADER + Math.ceil((codes.length * bits) / 8));
  const header = new DataView(bytes.buffer);
  header.setUint32(0, MAGIC, true);
  header.setUint16(4, rows, true);
  header.setUint16(6, columns, true);
  header.setUint8(8, codes.length / (rows * columns));
  header.setUint8(9, bits);
  header.setUint32(10, width, true);
  header.setUint32(14, height, true);
  for (let i = 0; i < codes.length * bits; i++) {
    const bit = (codes[Math.floor(i / bits)]! >> (i % bits)) & 1;
    bytes[HEADER + (i >> 3)]! |= bit << (i & 7);
  }
  return bytes;
}

/** Throws an InputError for bytes that packCodes did not make. */
export function unpackCodes(bytes: Uint8Array): CodeFields {
  const header = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
  if (bytes.length < HEADER || header.getUint32(0, true) !== MAGIC) throw refuse("they do not begin with KXC1");
  const grid = [header.getUint16(4, true), header.getUint16(6, true)] as const;
  const count = grid[0] * grid[1] * header.getUint8(8);
  const bits = header.getUint8(9);
  if (count === 0 || bits < 1 || bits > 16) throw refuse("their header is damaged");
  const length = HEADER + Math.ceil((count * bits) / 8);
  if (bytes.length !== length) throw refuse(`their header says ${length} bytes, got ${bytes.length}`);
  const codes = new Uint16Array(count);
  for (let i = 0; i < count * bits; i++) {
    const bit = (bytes[HEADER + (i >> 3)]! >> (i & 7)) & 1;
    codes[Math.floor(i / bits)]! |= bit << (i % bits);
  }
  return {
    grid,
    codes,
    width: header.getUint32(10, true) || undefined,
    height: header.getUint32(14, true) || undefined,
  };
}

function refuse(why: string): InputError {
  return new InputError(`Expected the bytes that \`toBytes\` of codes gives: ${why}`, { code: "invalid_codes" });
}
