// Whether two tensors of gigabytes hold the same, judged by samples: a few hundred kilobytes are read.

import { OpenFile } from "../files/open-file.ts";
import type { FileLocation } from "./checkpoint.ts";

const SAMPLES = 64;
const SAMPLE_BYTES = 4096;

/** Compares evenly spread samples of two tensors. Tensors of another dtype or shape are never the same. */
export async function haveSameBytes(a: FileLocation, b: FileLocation): Promise<boolean> {
  if (a.dtype !== b.dtype || `${a.shape}` !== `${b.shape}`) return false;
  const files = [await OpenFile.open(a.file), await OpenFile.open(b.file)] as const;
  try {
    const length = Math.min(SAMPLE_BYTES, a.byteLength);
    for (let i = 0; i < SAMPLES; i++) {
      const at = Math.floor(((a.byteLength - length) * i) / (SAMPLES - 1));
      const [x, y] = [await read(files[0], a.byteOffset + at, length), await read(files[1], b.byteOffset + at, length)];
      if (!x.equals(y)) return false;
    }
    return true;
  } finally {
    await Promise.all(files.map((file) => file.close()));
  }
}

async function read(file: OpenFile, position: number, length: number): Promise<Buffer> {
  const buffer = Buffer.alloc(length);
  await file.read(buffer, 0, length, position);
  return buffer;
}
