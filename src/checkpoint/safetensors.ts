// safetensors files: opening one reads and checks its header alone; tensors are read when asked for,
// or by ONNX Runtime straight from the file by their offsets. Writing is atomic and gives the same bytes for the same tensors.

import { realpath } from "node:fs/promises";
import { basename } from "node:path";
import { ModelError, quote } from "../errors.ts";
import { writeAll } from "../files/atomic-file.ts";
import { OpenFile } from "../files/open-file.ts";
import { type Output, openOutput } from "../files/output.ts";
import { statPlainFile } from "../files/plain-file.ts";
import { systemReason } from "../files/system-error.ts";
import { countElements, fromBuffer, type HostTensor } from "../runtime/host-tensor.ts";
import {
  headerLength,
  PREFIX_BYTES,
  parseHeader,
  type SafetensorsHeader,
  type TensorEntry,
} from "./safetensors-header.ts";
import { layOut } from "./safetensors-layout.ts";

/** Entries start .. end-1 of a tensor's first axis. */
export type RowRange = readonly [start: number, end: number];

export interface SafetensorsTensors extends SafetensorsHeader {
  /** Reads one tensor in its own dtype, or a range of its rows; throws a ModelError for an unknown name. */
  read(name: string, rows?: RowRange): Promise<HostTensor>;
}

/** What bytes are read from, as OpenFile does. */
export type Readable = Pick<OpenFile, "read">;

export interface SafetensorsFile extends SafetensorsTensors {
  readonly path: string;
  /** Where the bytes lie, links resolved: ONNX Runtime refuses links that lead out of the model's folder. */
  readonly realPath: string;
  readonly sizeBytes: number;
  close(): Promise<void>;
}

/** Opens a file and checks its header; throws a ModelError that says what is wrong with it. */
export async function openSafetensors(path: string): Promise<SafetensorsFile> {
  await statPlainFile(path);
  const file = await OpenFile.open(path).catch((error: NodeJS.ErrnoException) => {
    throw new ModelError(`${path}: cannot be opened: ${systemReason(error)}`, { cause: error });
  });
  try {
    const info = await file.stat();
    const tensors = await openTensors(file, info.size, path);
    return { ...tensors, path, realPath: await realpath(path), sizeBytes: info.size, close: () => file.close() };
  } catch (error) {
    await file.close();
    throw error;
  }
}

/** As openSafetensors, of a file that is in memory, such as one that came through a pipe; `name` is for messages. */
export function parseSafetensors(bytes: Uint8Array, name: string): Promise<SafetensorsTensors> {
  const file: Readable = {
    async read(into, offset, length, position) {
      const piece = bytes.subarray(position, position + length);
      into.set(piece, offset);
      return { bytesRead: piece.length };
    },
  };
  return openTensors(file, bytes.length, name);
}

async function openTensors(file: Readable, sizeBytes: number, name: string): Promise<SafetensorsTensors> {
  const prefix = new Uint8Array(await readSpan(file, 0, Math.min(PREFIX_BYTES, sizeBytes), name));
  const header = await readSpan(file, PREFIX_BYTES, headerLength(prefix, sizeBytes, name), name);
  const { tensors, metadata } = parseHeader(new Uint8Array(header), sizeBytes, name);
  return {
    tensors,
    metadata,
    async read(tensor, rows) {
      const entry = tensors.get(tensor);
      if (!entry) throw new ModelError(`${name}: has no tensor ${quote(tensor)}`);
      const { byteOffset, byteLength, shape } = rows ? rowsOf(entry, rows) : entry;
      return fromBuffer(entry.dtype, await readSpan(file, byteOffset, byteLength, name), shape);
    },
  };
}

/** Every tensor of a file, in the order of its header. For small files. */
export async function readSafetensors(path: string): Promise<Map<string, HostTensor>> {
  const file = await openSafetensors(path);
  try {
    const tensors = new Map<string, HostTensor>();
    for (const name of file.tensors.keys()) tensors.set(name, await file.read(name));
    return tensors;
  } finally {
    await file.close();
  }
}

/**
 * Writes a file atomically: a failure (a full disk) leaves no partial file and an older one untouched.
 * See layOut for the order of tensors, and openOutput for what a path may lead to.
 */
export async function writeSafetensors(
  path: string | Output,
  tensors: Iterable<readonly [string, HostTensor]>,
  metadata: Readonly<Record<string, string>> = {},
): Promise<void> {
  const output = typeof path === "string" ? await openOutput(path) : path;
  const fileName = basename(output.name);
  const named = [...tensors];
  for (const [name, { shape, data }] of named) {
    if (data.length === countElements(shape)) continue;
    throw new ModelError(`${fileName}: tensor ${name} has ${data.length} elements, its shape is [${shape}]`);
  }
  const { header, places } = layOut(named, metadata, fileName);
  const ordered = named.sort(([a], [b]) => places.get(a)!.byteOffset - places.get(b)!.byteOffset);
  await output.write(async (file) => {
    await writeAll(file, header);
    for (const [, { data }] of ordered) {
      await writeAll(file, new Uint8Array(data.buffer, data.byteOffset, data.byteLength));
    }
  });
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
async function readSpan(file: Readable, position: number, length: number, name: string): Promise<ArrayBuffer> {
  const bytes = new Uint8Array(length);
  await readInto(file, position, bytes, name);
  return bytes.buffer;
}

/** Fills `bytes` from a place in a file; throws a ModelError that calls the file `name` when it ends before that. */
export async function readInto(file: Readable, position: number, bytes: Uint8Array, name: string): Promise<void> {
  for (let done = 0; done < bytes.length; ) {
    const wanted = Math.min(bytes.length - done, MAX_READ_BYTES);
    const { bytesRead } = await file.read(bytes, done, wanted, position + done);
    if (bytesRead === 0) throw new ModelError(`${name}: ends at byte ${position + done} while it is read`);
    done += bytesRead;
  }
}

/** Linux moves at most 2 GiB - 4 KiB in one call. */
const MAX_READ_BYTES = 2 ** 30;

export type { TensorEntry };
