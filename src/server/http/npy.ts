// Codes as NumPy's .npy files, versions 1.0 to 3.0. Writes an array [rows, columns, N] of unsigned 16-bit integers; reads one of any integer
// type. https://numpy.org/doc/stable/reference/generated/numpy.lib.format.html

import { InputError } from "../../errors.ts";
import type { CodeFields, CodesInput } from "../../vision/image-codes.ts";

const MAGIC = "\x93NUMPY";

/** [rows, columns, N] as little-endian u16. */
export function writeNpy({ grid: [rows, columns], codes }: CodeFields): Buffer {
  const shape = `(${rows}, ${columns}, ${codes.length / (rows * columns)})`;
  const dictionary = `{'descr': '<u2', 'fortran_order': False, 'shape': ${shape}, }`;
  const length = Math.ceil((MAGIC.length + 4 + dictionary.length + 1) / 64) * 64;
  const bytes = Buffer.alloc(length + codes.length * 2);
  bytes.write(MAGIC, "latin1");
  bytes[6] = 1; // version 1.0
  bytes.writeUInt16LE(length - 10, 8);
  bytes.write(`${dictionary.padEnd(length - 11)}\n`, 10, "latin1");
  for (const [i, code] of codes.entries()) bytes.writeUInt16LE(code, length + 2 * i);
  return bytes;
}

type Read = (at: number) => number | bigint;

/** Throws an InputError for anything but integers [rows, columns, N] in C order. */
export function readNpy(bytes: Buffer): CodesInput {
  if (bytes.toString("latin1", 0, 6) !== MAGIC) throw refuse("it has no .npy signature");
  const isShort = bytes[6] === 1;
  const start = isShort ? 10 : 12;
  if (bytes.length < start) throw refuse("its header is incomplete");
  const end = start + (isShort ? bytes.readUInt16LE(8) : bytes.readUInt32LE(8));
  const header = bytes.toString("latin1", start, Math.min(end, start + 1000));
  const [, order, kind, width] = /'descr': '([<>|=]?)([iu])([1248])'/.exec(header) ?? [];
  const [, shape = ""] = /'shape': \(([\d, ]*)\)/.exec(header) ?? [];
  const sizes = shape.split(",").flatMap((size) => (size.trim() === "" ? [] : [Number(size)]));
  if (width === undefined) throw refuse("it does not contain integers");
  if (!/'fortran_order': False/.test(header)) throw refuse("it is in Fortran order; save np.ascontiguousarray(codes)");
  const [rows = 0, columns = 0, N = 0] = sizes;
  if (sizes.length !== 3) throw refuse(`its shape is (${sizes.slice(0, 9)}), expected (rows, columns, codes)`);
  const count = rows * columns * N;
  const step = Number(width);
  if (count === 0 || bytes.length - end !== count * step) throw refuse("its size does not match its shape");
  const read = reader(bytes, kind === "i", step, order !== ">");
  return { grid: [rows, columns], codes: Array.from({ length: count }, (_, i) => read(end + i * step)) };
}

function reader(bytes: Buffer, isSigned: boolean, width: number, isLittle: boolean): Read {
  const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
  const readers: Readonly<Record<string, Read>> = {
    u1: (at) => view.getUint8(at),
    u2: (at) => view.getUint16(at, isLittle),
    u4: (at) => view.getUint32(at, isLittle),
    u8: (at) => view.getBigUint64(at, isLittle),
    i1: (at) => view.getInt8(at),
    i2: (at) => view.getInt16(at, isLittle),
    i4: (at) => view.getInt32(at, isLittle),
    i8: (at) => view.getBigInt64(at, isLittle),
  };
  return readers[`${isSigned ? "i" : "u"}${width}`]!;
}

function refuse(what: string): InputError {
  return new InputError(`Expected codes as a .npy file: ${what}`, { code: "invalid_codes" });
}
