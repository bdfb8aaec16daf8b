// Text in a PNG file: iTXt chunks, which hold UTF-8 under a keyword (PNG, third edition, 11.3.3.4). Files are untrusted: lengths are checked
// before use, and compressed text is inflated only up to a limit.

import { InputError } from "../errors.ts";
import { type FileBytes, findFormat } from "../image/image-format.ts";

const SIGNATURE_BYTES = 8;
/** Length, kind and CRC of a chunk. */
const CHUNK_BYTES = 12;
/** The header chunk comes first and always has 13 bytes. */
const AFTER_HEADER = SIGNATURE_BYTES + CHUNK_BYTES + 13;

/** Adds a text to a PNG under a keyword of 1 to 79 ASCII characters. Throws an InputError if the bytes are not a PNG. */
export function addPngText(png: Uint8Array, keyword: string, text: string): FileBytes {
  if (findFormat(png) !== "png" || png.length < AFTER_HEADER) throw refuse("this is no PNG file");
  // Keyword, terminator, no compression (two bytes), no language, no translated keyword, text.
  const chunk = makeChunk("iTXt", new TextEncoder().encode(`${keyword}\0\0\0\0\0${text}`));
  const whole = new Uint8Array(png.length + chunk.length);
  whole.set(png.subarray(0, AFTER_HEADER));
  whole.set(chunk, AFTER_HEADER);
  whole.set(png.subarray(AFTER_HEADER), AFTER_HEADER + chunk.length);
  return whole;
}

/**
 * The text under a keyword; undefined if the file is not a PNG or has no such text. Throws an InputError if the chunk is damaged, exceeds
 * `maxBytes`, compressed or not, or occurs twice.
 */
export async function readPngText(png: Uint8Array, keyword: string, maxBytes: number): Promise<string | undefined> {
  if (findFormat(png) !== "png") return undefined;
  const view = new DataView(png.buffer, png.byteOffset, png.byteLength);
  let found: Uint8Array | undefined;
  for (let at = SIGNATURE_BYTES; at + CHUNK_BYTES <= png.length; ) {
    const length = view.getUint32(at);
    const kind = latin1(png.subarray(at + 4, at + 8));
    if (at + CHUNK_BYTES + length > png.length) break; // truncated; decoding the image reports it
    const data = png.subarray(at + 8, at + 8 + length);
    if (kind === "iTXt" && latin1(data.subarray(0, keyword.length + 1)) === `${keyword}\0`) {
      if (found) throw refuse("the file has two of them");
      if (length > maxBytes) throw refuse(`it has ${length} bytes, at most ${maxBytes} are read`);
      if (crc32(png.subarray(at + 4, at + 8 + length)) !== view.getUint32(at + 8 + length))
        throw refuse("it is damaged: its checksum is wrong");
      found = data.subarray(keyword.length + 1);
    }
    at += CHUNK_BYTES + length;
  }
  return found && textOf(found, maxBytes);
}

/** The data after the keyword: compression (two bytes), language, translated keyword, text. */
async function textOf(data: Uint8Array, maxBytes: number): Promise<string> {
  const languageEnd = data.indexOf(0, 2);
  const begin = languageEnd < 0 ? -1 : data.indexOf(0, languageEnd + 1);
  if (begin < 0 || data[0]! > 1 || data[1] !== 0) throw refuse("it is damaged: it is no text of PNG's");
  const stored = data.subarray(begin + 1);
  const bytes = data[0] === 1 ? await inflate(stored, maxBytes) : stored;
  try {
    return new TextDecoder("utf-8", { fatal: true }).decode(bytes);
  } catch (cause) {
    throw refuse("it is damaged: it is not UTF-8", cause);
  }
}

/** Inflates zlib data. Never inflates more than a few kilobytes beyond the limit. */
async function inflate(packed: Uint8Array, maxBytes: number): Promise<Uint8Array> {
  const reader = new Blob([new Uint8Array(packed)])
    .stream()
    .pipeThrough(new DecompressionStream("deflate"))
    .getReader();
  const unpacked = new Uint8Array(maxBytes);
  let length = 0;
  for (;;) {
    const { done, value } = await reader.read().catch((cause) => {
      throw refuse("it is damaged: it cannot be unpacked", cause);
    });
    if (done) return unpacked.subarray(0, length);
    if (length + value.length > maxBytes) {
      await reader.cancel().catch(() => undefined);
      throw refuse(`it unpacks to more than the ${maxBytes} bytes that are read`);
    }
    unpacked.set(value, length);
    length += value.length;
  }
}

function makeChunk(kind: string, data: Uint8Array): Uint8Array {
  const chunk = new Uint8Array(CHUNK_BYTES + data.length);
  const view = new DataView(chunk.buffer);
  view.setUint32(0, data.length);
  chunk.set(new TextEncoder().encode(kind), 4);
  chunk.set(data, 8);
  view.setUint32(8 + data.length, crc32(chunk.subarray(4, 8 + data.length)));
  return chunk;
}

/** The checksum of PNG and gzip (PNG, annex D). */
export function crc32(bytes: Uint8Array): number {
  let crc = 0xffffffff;
  for (const byte of bytes) crc = (crc >>> 8) ^ table[(crc ^ byte) & 0xff]!;
  return (crc ^ 0xffffffff) >>> 0;
}

const table = Uint32Array.from({ length: 256 }, (_, n) => {
  let c = n;
  for (let k = 0; k < 8; k++) c = c & 1 ? 0xedb88320 ^ (c >>> 1) : c >>> 1;
  return c;
});

function latin1(bytes: Uint8Array): string {
  return String.fromCharCode(...bytes);
}

function refuse(why: string, cause?: unknown): InputError {
  return new InputError(`The receipt cannot be read: ${why}`, { code: "invalid_receipt", cause });
}
