// Writes model files of llama.cpp (GGUF version 3): a header, typed metadata, the list of tensors, then their bytes, each
// aligned. https://github.com/ggml-org/ggml/blob/master/docs/gguf.md

import { replaceFile, writeAll } from "../../../src/output/atomic-file.ts";

/** A number here is a u32; others say what they are. */
export type GgufValue =
  | number
  | string
  | { readonly float: number }
  | { readonly integers: readonly number[] }
  | { readonly texts: readonly string[] };

export interface GgufTensor {
  readonly name: string;
  readonly type: "f32" | "q4_0";
  /** Innermost axis first: a matrix [out, in] is [in, out] here. */
  readonly shape: readonly number[];
  /** Made when its turn comes, so that a file need not fit into memory. */
  readonly bytes: () => Uint8Array;
}

/** Elements and bytes of one block of each type, and its number in the format. */
const types = {
  f32: { id: 0, elements: 1, bytes: 4 },
  /** 32 elements: an f16 scale, then 16 bytes of two elements each. */
  q4_0: { id: 2, elements: 32, bytes: 18 },
} as const;

const VERSION = 3;
const ALIGNMENT = 32;
const valueTypes = { u32: 4, i32: 5, f32: 6, text: 8, array: 9 } as const;

/** Writes the file, atomically. Throws when a tensor's bytes do not fill its shape. */
export async function writeGguf(
  path: string,
  metadata: Readonly<Record<string, GgufValue>>,
  tensors: readonly GgufTensor[],
): Promise<void> {
  const header = encodeHeader(metadata, tensors);
  await replaceFile(path, async (file) => {
    await writeAll(file, header);
    for (const { name, bytes, ...tensor } of tensors) {
      const data = bytes();
      const wanted = byteLength(tensor);
      if (data.length !== wanted) throw new Error(`${name}: ${data.length} bytes where its shape takes ${wanted}`);
      await writeAll(file, data);
      await writeAll(file, new Uint8Array(aligned(wanted) - wanted));
    }
  });
}

/** Bytes of a tensor's blocks. */
export function byteLength({ type, shape }: Pick<GgufTensor, "type" | "shape">): number {
  const { elements, bytes } = types[type];
  return (shape.reduce((a, b) => a * b, 1) / elements) * bytes;
}

function encodeHeader(metadata: Readonly<Record<string, GgufValue>>, tensors: readonly GgufTensor[]): Uint8Array {
  const w = new Writer();
  w.bytes(new TextEncoder().encode("GGUF"));
  w.u32(VERSION);
  w.u64(tensors.length);
  w.u64(Object.keys(metadata).length);
  for (const [key, value] of Object.entries(metadata)) {
    w.text(key);
    writeValue(w, value);
  }
  let offset = 0;
  for (const { name, type, shape } of tensors) {
    w.text(name);
    w.u32(shape.length);
    for (const size of shape) w.u64(size);
    w.u32(types[type].id);
    w.u64(offset);
    offset += aligned(byteLength({ type, shape }));
  }
  w.bytes(new Uint8Array(aligned(w.length) - w.length));
  return w.joined();
}

function writeValue(w: Writer, value: GgufValue): void {
  if (typeof value === "number") {
    w.u32(valueTypes.u32);
    w.u32(value);
  } else if (typeof value === "string") {
    w.u32(valueTypes.text);
    w.text(value);
  } else if ("float" in value) {
    w.u32(valueTypes.f32);
    w.bytes(new Uint8Array(Float32Array.of(value.float).buffer));
  } else if ("texts" in value) {
    w.u32(valueTypes.array);
    w.u32(valueTypes.text);
    w.u64(value.texts.length);
    for (const text of value.texts) w.text(text);
  } else {
    w.u32(valueTypes.array);
    w.u32(valueTypes.i32);
    w.u64(value.integers.length);
    w.bytes(new Uint8Array(Int32Array.from(value.integers).buffer));
  }
}

function aligned(length: number): number {
  return Math.ceil(length / ALIGNMENT) * ALIGNMENT;
}

/** Collects little-endian values. */
class Writer {
  readonly #parts: Uint8Array[] = [];
  length = 0;

  bytes(part: Uint8Array): void {
    this.#parts.push(part);
    this.length += part.length;
  }
  u32(value: number): void {
    this.bytes(new Uint8Array(Uint32Array.of(value).buffer));
  }
  u64(value: number): void {
    this.bytes(new Uint8Array(BigUint64Array.of(BigInt(value)).buffer));
  }
  text(text: string): void {
    const bytes = new TextEncoder().encode(text);
    this.u64(bytes.length);
    this.bytes(bytes);
  }
  joined(): Uint8Array {
    const all = new Uint8Array(this.length);
    let at = 0;
    for (const part of this.#parts) {
      all.set(part, at);
      at += part.length;
    }
    return all;
  }
}
