// Indexes the members of a tar by reading only its headers (POSIX.1-2001: ustar and pax; GNU's long names and sizes).
// Nothing is unpacked. Links, devices and folders are skipped, so no member leads outside the tar.

import { InputError } from "../errors.ts";
import { type Readable, readExactly } from "./jsonl.ts";

export interface TarMember {
  readonly name: string;
  /** The start of its headers, including those that give it a long name or size. */
  readonly header: number;
  /** The offset of its bytes in the tar. */
  readonly start: number;
  readonly size: number;
}

export interface TarOptions {
  /** An offset where a member's headers start. */
  readonly from?: number;
  readonly signal?: AbortSignal | undefined;
}

const BLOCK = 512;
/** Of an extension header. */
const MAX_EXTENSION_BYTES = 1_000_000;

/** The plain files of a tar, in order. Throws an InputError if it is not a tar or is truncated. */
export async function* tarMembers(
  file: Readable,
  tar: string,
  { from = 0, signal }: TarOptions = {},
): AsyncGenerator<TarMember> {
  const { size: total } = await file.stat();
  let extension: { name?: string; size?: number } = {};
  let first = from;
  for (let at = from; at + BLOCK <= total; ) {
    signal?.throwIfAborted();
    const header = await readExactly(file, at, BLOCK, tar);
    if (header.every((byte) => byte === 0)) return;
    if (!hasChecksum(header)) {
      const isGzip = at === 0 && header[0] === 0x1f && header[1] === 0x8b;
      throw new InputError(
        `${tar}: ${isGzip ? "is compressed; unpack it first (gunzip)" : `is not a tar, or damaged at byte ${at}`}`,
      );
    }
    const size = extension.size ?? readNumber(header.subarray(124, 136));
    const start = at + BLOCK;
    const kind = String.fromCharCode(header[156]!);
    if (!Number.isSafeInteger(size) || start + Math.ceil(size / BLOCK) * BLOCK > total)
      throw new InputError(`${tar}: is cut off; a member of ${size} bytes begins at byte ${at} of ${total}`);
    const next = start + Math.ceil(size / BLOCK) * BLOCK;
    if (kind === "x" || kind === "L") {
      if (size > MAX_EXTENSION_BYTES) throw new InputError(`${tar}: has a header of ${size} bytes at byte ${at}`);
      const bytes = await readExactly(file, start, size, tar);
      extension = kind === "x" ? readPax(bytes, tar) : { ...extension, name: textOf(bytes) };
    } else {
      if (kind === "0" || kind === "\0") yield { name: extension.name ?? nameOf(header), header: first, start, size };
      if (kind !== "g" && kind !== "K") {
        extension = {};
        first = next;
      }
    }
    at = next;
  }
}

function hasChecksum(header: Uint8Array): boolean {
  const wanted = readNumber(header.subarray(148, 156));
  const sum = header.reduce((total, byte, i) => total + (i >= 148 && i < 156 ? 32 : byte), 0);
  return sum === wanted;
}

/** Octal digits, or base 256 if the first bit is set. */
function readNumber(field: Uint8Array): number {
  if (field[0]! & 0x80) return field.subarray(1).reduce((value, byte) => value * 256 + byte, field[0]! & 0x7f);
  const digits = textOf(field).trim();
  return /^[0-7]*$/.test(digits) ? Number.parseInt(digits || "0", 8) : Number.NaN;
}

function nameOf(header: Uint8Array): string {
  const isPosix = textOf(header.subarray(257, 262)) === "ustar" && header[262] === 0;
  const prefix = isPosix ? textOf(header.subarray(345, 500)) : "";
  const name = textOf(header.subarray(0, 100));
  return prefix === "" ? name : `${prefix}/${name}`;
}

/** Records of "LENGTH KEY=VALUE\n". */
function readPax(bytes: Uint8Array, tar: string): { name?: string; size?: number } {
  const found: { name?: string; size?: number } = {};
  for (let at = 0; at < bytes.length; ) {
    const space = bytes.indexOf(32, at);
    const length = Number(textOf(bytes.subarray(at, space)));
    if (space < 0 || !Number.isInteger(length) || length <= space - at || at + length > bytes.length)
      throw new InputError(`${tar}: has a damaged extended header`);
    const [, key, value] = /^([^=]*)=([\s\S]*)\n$/.exec(textOf(bytes.subarray(space + 1, at + length))) ?? [];
    if (key === "path") found.name = value!;
    if (key === "size") found.size = Number(value);
    at += length;
  }
  return found;
}

function textOf(bytes: Uint8Array): string {
  const end = bytes.indexOf(0);
  return new TextDecoder().decode(end < 0 ? bytes : bytes.subarray(0, end));
}
