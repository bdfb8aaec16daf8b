// The samples of a PNG with 16 bits of grey, which browsers scale to 8 bits where Pillow cuts them off.

import { undecodable } from "./image-format.ts";

const IDAT = 0x49444154;
/** Transparency, and EXIF, which may turn the image. */
const OTHERS = [0x74524e53, 0x65584966];
/** Of the header: 0, or 1 for Adam7. */
const INTERLACE_BYTE = 28;

/**
 * [height, width] samples of a PNG whose header says 16 bits of grey; undefined where it is interlaced, has a transparent level or
 * EXIF. Throws an InputError for a file that is damaged or cut short.
 */
export async function readGrey16(
  bytes: Uint8Array,
  { width, height }: { readonly width: number; readonly height: number },
  name: string,
): Promise<Uint16Array | undefined> {
  if (bytes[INTERLACE_BYTE] !== 0) return undefined;
  const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
  const packed: Uint8Array<ArrayBuffer>[] = [];
  for (let at = 8; at + 12 <= bytes.length; ) {
    const [length, type] = [view.getUint32(at), view.getUint32(at + 4)];
    if (OTHERS.includes(type)) return undefined;
    if (type === IDAT) packed.push(new Uint8Array(bytes.subarray(at + 8, at + 8 + length)));
    at += 12 + length;
  }
  const rows = await inflate(packed, height * (1 + 2 * width)).catch((cause) => {
    throw undecodable(name, cause);
  });
  if (!rows) throw undecodable(name);
  return unfilter(rows, 2 * width, height, name);
}

/** The first `size` bytes; undefined where there are fewer. A small file may unpack to any size: no more is unpacked. */
async function inflate(packed: readonly BlobPart[], size: number): Promise<Uint8Array | undefined> {
  const reader = new Blob([...packed]).stream().pipeThrough(new DecompressionStream("deflate")).getReader();
  const rows = new Uint8Array(size);
  let filled = 0;
  while (filled < size) {
    const { value, done } = await reader.read();
    if (done) return undefined;
    rows.set(value.subarray(0, size - filled), filled);
    filled += value.length;
  }
  await reader.cancel().catch(() => undefined);
  return rows;
}

/** Each row begins with the filter that its bytes are predicted by (PNG specification, section 9). */
function unfilter(rows: Uint8Array, stride: number, height: number, name: string): Uint16Array {
  const out = new Uint8Array(height * stride);
  const samples = new Uint16Array(out.length / 2);
  for (let y = 0, from = 0, to = 0; y < height; y++) {
    const filter = rows[from++]!;
    if (filter > 4) throw undecodable(name);
    for (let x = 0; x < stride; x++, to++) {
      const left = x < 2 ? 0 : out[to - 2]!;
      const above = y === 0 ? 0 : out[to - stride]!;
      const corner = x < 2 || y === 0 ? 0 : out[to - stride - 2]!;
      out[to] = rows[from++]! + predict(filter, left, above, corner);
      if (x % 2 === 1) samples[to >> 1] = out[to - 1]! * 256 + out[to]!;
    }
  }
  return samples;
}

function predict(filter: number, left: number, above: number, corner: number): number {
  if (filter === 1) return left;
  if (filter === 2) return above;
  if (filter === 3) return (left + above) >> 1;
  if (filter !== 4) return 0;
  const [a, b, c] = [left, above, corner].map((value) => Math.abs(left + above - corner - value)) as [
    number,
    number,
    number,
  ];
  return a <= b && a <= c ? left : b <= c ? above : corner;
}
