// safetensors files: opening one reads and checks its header alone; tensors are read when asked for,
// or by ONNX Runtime straight from the file by their offsets.

import { ModelError, quote } from "../errors.ts";
import { type ModelFile, readInto } from "../files/model-files.ts";
import { fromBuffer, type HostTensor } from "../runtime/host-tensor.ts";
import {
  headerLength,
  PREFIX_BYTES,
  parseHeader,
  type SafetensorsHeader,
  type TensorEntry,
} from "./safetensors-header.ts";

/** Entries start .. end-1 of a tensor's first axis. */
export type RowRange = readonly [start: number, end: number];

export interface SafetensorsFile extends SafetensorsHeader {
  readonly file: ModelFile;
  /** Reads one tensor in its own dtype, or a range of its rows; throws a ModelError for an unknown name. */
  read(name: string, rows?: RowRange): Promise<HostTensor>;
  close(): Promise<void>;
}

/** Checks the header of an open file, and closes it where it is wrong: throws a ModelError that says how. */
export async function openSafetensors(file: ModelFile): Promise<SafetensorsFile> {
  try {
    const { name, sizeBytes } = file;
    const prefix = new Uint8Array(await readSpan(file, 0, Math.min(PREFIX_BYTES, sizeBytes)));
    const header = await readSpan(file, PREFIX_BYTES, headerLength(prefix, sizeBytes, name));
    const { tensors, metadata } = parseHeader(new Uint8Array(header), sizeBytes, name);
    return {
      file,
      tensors,
      metadata,
      async read(tensor, rows) {
        const entry = tensors.get(tensor);
        if (!entry) throw new ModelError(`${name}: has no tensor ${quote(tensor)}`);
        const { byteOffset, byteLength, shape } = rows ? rowsOf(entry, rows) : entry;
        return fromBuffer(entry.dtype, await readSpan(file, byteOffset, byteLength), shape);
      },
      close: () => file.close(),
    };
  } catch (error) {
    await file.close();
    throw error;
  }
}

function rowsOf({ dtype, shape, byteOffset, byteLength }: TensorEntry, [start, end]: RowRange): TensorEntry {
  const rowBytes = byteLength / shape[0]!;
  return {
    dtype,
    shape: [end - start, ...shape.slice(1)],
    byteOffset: byteOffset + start * rowBytes,
    byteLength: (end - start) * rowBytes,
  };
}

/** Reads exactly `length` bytes. The length was checked against the file's size, so it bounds the allocation. */
async function readSpan(file: ModelFile, position: number, length: number): Promise<ArrayBuffer> {
  const bytes = new Uint8Array(length);
  await readInto(file, position, bytes);
  return bytes.buffer;
}

export type { TensorEntry };
