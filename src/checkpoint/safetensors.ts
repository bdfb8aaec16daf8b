// safetensors files: opening one reads and checks its header alone; tensors are read when asked for,
// or by ONNX Runtime straight from the file by their offsets. Writing is atomic and gives the same bytes for the same tensors.

import { type FileHandle, open, realpath } from "node:fs/promises";
import { basename } from "node:path";
import { replaceFile, writeAll } from "../runtime/atomic-file.ts";
import { countElements, elementBytes, fromBuffer, type HostTensor } from "../runtime/host-tensor.ts";
import { CheckpointError } from "./checkpoint-error.ts";
import {
  dtypeNames,
  headerLength,
  MAX_HEADER_BYTES,
  PREFIX_BYTES,
  parseHeader,
  type SafetensorsHeader,
  type TensorEntry,
} from "./safetensors-header.ts";

export interface SafetensorsFile extends SafetensorsHeader {
  readonly path: string;
  /** Where the bytes lie, links resolved: ONNX Runtime refuses links that lead out of the model's folder. */
  readonly realPath: string;
  readonly sizeBytes: number;
  /** Reads one tensor in its own dtype; throws a CheckpointError for an unknown name. */
  read(name: string): Promise<HostTensor>;
  close(): Promise<void>;
}

/** Opens a file and checks its header; throws a CheckpointError that says what is wrong with it. */
export async function openSafetensors(path: string): Promise<SafetensorsFile> {
  const name = basename(path);
  const file = await open(path, "r").catch((error: NodeJS.ErrnoException) => {
    throw new CheckpointError(`${path}: cannot be opened (${error.code})`, { cause: error });
  });
  try {
    const info = await file.stat();
    if (!info.isFile()) throw new CheckpointError(`${path}: is not a file`);
    const prefix = new Uint8Array(await readSpan(file, 0, Math.min(PREFIX_BYTES, info.size), name));
    const header = await readSpan(file, PREFIX_BYTES, headerLength(prefix, info.size, name), name);
    const { tensors, metadata } = parseHeader(new Uint8Array(header), info.size, name);
    return {
      path,
      realPath: await realpath(path),
      sizeBytes: info.size,
      tensors,
      metadata,
      async read(tensor) {
        const entry = tensors.get(tensor);
        if (!entry) throw new CheckpointError(`${name}: has no tensor ${JSON.stringify(tensor)}`);
        return fromBuffer(entry.dtype, await readSpan(file, entry.byteOffset, entry.byteLength, name), entry.shape);
      },
      close: () => file.close(),
    };
  } catch (error) {
    await file.close();
    throw error;
  }
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
 * The header lists tensors by name; the data has wide elements first, so that every tensor is aligned to its element.
 */
export async function writeSafetensors(
  path: string,
  tensors: Iterable<readonly [string, HostTensor]>,
  metadata: Readonly<Record<string, string>> = {},
): Promise<void> {
  const named = sortByName([...tensors]);
  const ordered = [...named].sort(([, a], [, b]) => elementBytes(b.dtype) - elementBytes(a.dtype));
  const header = encodeHeader(named, ordered, metadata, basename(path));
  await replaceFile(path, async (file) => {
    const prefix = new Uint8Array(PREFIX_BYTES);
    new DataView(prefix.buffer).setBigUint64(0, BigInt(header.length), true);
    await writeAll(file, prefix);
    await writeAll(file, header);
    for (const [, { data }] of ordered) {
      await writeAll(file, new Uint8Array(data.buffer, data.byteOffset, data.byteLength));
    }
  }).catch((error: NodeJS.ErrnoException) => {
    throw new CheckpointError(`${path}: cannot be written (${error.code ?? error.message})`, { cause: error });
  });
}

function encodeHeader(
  named: readonly (readonly [string, HostTensor])[],
  ordered: readonly (readonly [string, HostTensor])[],
  metadata: Readonly<Record<string, string>>,
  file: string,
): Uint8Array {
  const begins = new Map<string, number>();
  let end = 0;
  for (const [name, { dtype, shape, data }] of ordered) {
    if (begins.has(name)) throw new CheckpointError(`${file}: tensor ${JSON.stringify(name)} is given twice`);
    if (name === "__metadata__" || name === "__proto__")
      throw new CheckpointError(`${file}: no tensor may be called ${name}`);
    if (data.byteLength !== countElements(shape) * elementBytes(dtype)) {
      throw new CheckpointError(`${file}: tensor ${name} has ${data.length} elements, its shape is [${shape}]`);
    }
    begins.set(name, end);
    end += data.byteLength;
  }
  const entries = named.map(([name, { dtype, shape, data }]) => {
    const begin = begins.get(name)!;
    return [name, { dtype: dtypeNames[dtype], shape, data_offsets: [begin, begin + data.byteLength] }];
  });
  const first = Object.keys(metadata).length
    ? { __metadata__: Object.fromEntries(sortByName(Object.entries(metadata))) }
    : {};
  const text = JSON.stringify({ ...first, ...Object.fromEntries(entries) });
  const bytes = new TextEncoder().encode(text);
  const padded = new Uint8Array(Math.ceil(bytes.length / 8) * 8).fill(" ".charCodeAt(0));
  padded.set(bytes);
  if (padded.length > MAX_HEADER_BYTES) {
    throw new CheckpointError(`${file}: the header would have ${padded.length} bytes, at most ${MAX_HEADER_BYTES}`);
  }
  return padded;
}

function sortByName<T>(entries: (readonly [string, T])[]): (readonly [string, T])[] {
  return entries.sort(([a], [b]) => (a < b ? -1 : a > b ? 1 : 0));
}

/** Reads exactly `length` bytes. The length was checked against the file's size, so it bounds the allocation. */
async function readSpan(file: FileHandle, position: number, length: number, name: string): Promise<ArrayBuffer> {
  const bytes = new Uint8Array(length);
  for (let done = 0; done < length; ) {
    const { bytesRead } = await file.read(bytes, done, Math.min(length - done, MAX_READ_BYTES), position + done);
    if (bytesRead === 0) throw new CheckpointError(`${name}: ends at byte ${position + done} while it is read`);
    done += bytesRead;
  }
  return bytes.buffer;
}

/** Linux moves at most 2 GiB - 4 KiB in one call. */
const MAX_READ_BYTES = 2 ** 30;

export type { TensorEntry };
