// A look at the stored bytes of a checkpoint, for a hash that need not read gigabytes.

import { type ModelFile, readInto } from "../files/model-files.ts";
import type { TensorEntry } from "./safetensors.ts";

/** What a tensor is, and some of its bytes. */
export interface TensorSample {
  readonly name: string;
  readonly dtype: string;
  readonly shape: readonly number[];
  readonly bytes: Uint8Array;
}

/** At most `most` bytes each of a tensor's beginning, middle and end; all where it has no more than that. */
export async function sampleTensor(
  file: ModelFile,
  name: string,
  { dtype, shape, byteOffset, byteLength }: TensorEntry,
  most: number,
): Promise<TensorSample> {
  if (byteLength <= 3 * most) {
    const bytes = new Uint8Array(byteLength);
    await readInto(file, byteOffset, bytes);
    return { name, dtype, shape, bytes };
  }
  const bytes = new Uint8Array(3 * most);
  const places = [0, Math.floor((byteLength - most) / 2), byteLength - most];
  for (const [i, place] of places.entries())
    await readInto(file, byteOffset + place, bytes.subarray(i * most, (i + 1) * most));
  return { name, dtype, shape, bytes };
}
