// The header of a safetensors file: 8 bytes of length, then JSON with dtype, shape and span of every tensor.
// Files come from strangers, so everything a span is computed from is checked before it is used.
// Format: https://github.com/huggingface/safetensors#format

import { ModelError, quote } from "../errors.ts";
import { refuseStrangers } from "../files/model-files.ts";
import { elementBytes, type HostDType } from "../runtime/host-tensor.ts";
import { parseJson } from "./strict-json.ts";

/** Where a tensor lies: `byteOffset` counts from the start of the file. */
export interface TensorEntry {
  readonly dtype: HostDType;
  readonly shape: readonly number[];
  readonly byteOffset: number;
  readonly byteLength: number;
}

export interface SafetensorsHeader {
  readonly tensors: ReadonlyMap<string, TensorEntry>;
  readonly metadata: Readonly<Record<string, string>>;
}

/** The limit of the Rust reference reader; a header of a 100,000-tensor model is about 10 MB. */
export const MAX_HEADER_BYTES = 100_000_000;

export const PREFIX_BYTES = 8;

export const dtypeNames: Readonly<Record<HostDType, string>> = {
  f64: "F64",
  f32: "F32",
  bf16: "BF16",
  f16: "F16",
  i64: "I64",
  i32: "I32",
  i16: "I16",
  u16: "U16",
  i8: "I8",
  u8: "U8",
  bool: "BOOL",
};
const dtypes = new Map(Object.entries(dtypeNames).map(([dtype, name]) => [name, dtype as HostDType]));

/** Reads the header's length from the first 8 bytes; throws if it cannot be true of a file of `fileBytes`. */
export function headerLength(prefix: Uint8Array, fileBytes: number, file: string): number {
  refuseStrangers(prefix, file);
  if (fileBytes < PREFIX_BYTES || prefix.length < PREFIX_BYTES) {
    throw new ModelError(`${file}: the file has ${fileBytes} bytes, a safetensors file at least 10. Was it cut?`);
  }
  const length = new DataView(prefix.buffer, prefix.byteOffset, PREFIX_BYTES).getBigUint64(0, true);
  if (length > BigInt(fileBytes - PREFIX_BYTES)) {
    throw new ModelError(
      `${file}: the header claims ${length} bytes, the file has ${fileBytes}. Is it a safetensors file, and complete?`,
    );
  }
  if (length > BigInt(MAX_HEADER_BYTES)) {
    throw new ModelError(`${file}: the header claims ${length} bytes, at most ${MAX_HEADER_BYTES} are accepted`);
  }
  return Number(length);
}

/** Checks and reads the JSON `header` of a file of `fileBytes`: known dtypes, and spans that tile the data exactly. */
export function parseHeader(header: Uint8Array, fileBytes: number, file: string): SafetensorsHeader {
  const { __metadata__: metadata, ...described } = parseObject(header, file);
  const dataStart = PREFIX_BYTES + header.length;
  const tensors = new Map<string, TensorEntry>();
  for (const [name, description] of Object.entries(described)) {
    if (name.length > MAX_NAME) {
      throw new ModelError(`${file}: has a tensor with a name of ${name.length} characters, at most ${MAX_NAME}`);
    }
    tensors.set(name, parseEntry(description, dataStart, fileBytes, `${file}: tensor ${quote(name)}`));
  }
  checkTiling(tensors, dataStart, fileBytes, file);
  return { tensors, metadata: parseMetadata(metadata, file) };
}

function parseObject(header: Uint8Array, file: string): Record<string, unknown> {
  const value = parseJson(header, `${file}: the header`, LIMITS);
  if (!isObject(value)) throw new ModelError(`${file}: the header is ${describe(value)}, wanted a JSON object`);
  return value;
}

/** More tensors than any checkpoint has in one file. */
export const MAX_TENSORS = 200_000;

/** Names are repeated in messages and looked up in maps. */
const MAX_NAME = 1000;

/** Header, tensor description, shape. */
const LIMITS = { maxDepth: 3, maxKeys: MAX_TENSORS };

/** More axes than any tensor has; with them a product of sizes is quickly computed. */
const MAX_AXES = 8;

function parseEntry(value: unknown, dataStart: number, fileBytes: number, where: string): TensorEntry {
  const { dtype: name, shape, data_offsets: offsets } = isObject(value) ? value : {};
  const dtype = typeof name === "string" ? dtypes.get(name) : undefined;
  if (!dtype) {
    throw new ModelError(`${where} has dtype ${describe(name)}, wanted one of ${[...dtypes.keys()].join(" ")}`);
  }
  if (Array.isArray(shape) && shape.length > MAX_AXES) {
    throw new ModelError(`${where} has a shape of ${shape.length} axes, at most ${MAX_AXES} are accepted`);
  }
  if (!isCountArray(shape)) {
    throw new ModelError(`${where} has shape ${describe(shape)}, wanted an array of integers from 0`);
  }
  if (!Array.isArray(offsets) || offsets.length !== 2 || !isCountArray(offsets)) {
    throw new ModelError(`${where} has data_offsets ${describe(offsets)}, wanted two integers from 0`);
  }
  const [begin, end] = [offsets[0]!, offsets[1]!];
  const dataBytes = fileBytes - dataStart;
  if (begin > end || end > dataBytes) {
    throw new ModelError(`${where} spans ${begin} to ${end}, the file holds 0 to ${dataBytes}. Was it cut?`);
  }
  // Multiplied in BigInt: sizes near 2^53 would round, and a rounded product could equal the span.
  const wanted = shape.reduce((product, size) => product * BigInt(size), BigInt(elementBytes(dtype)));
  if (wanted !== BigInt(end - begin)) {
    throw new ModelError(`${where} spans ${end - begin} bytes, ${name} of shape [${shape}] wants ${wanted}`);
  }
  return { dtype, shape, byteOffset: dataStart + begin, byteLength: end - begin };
}

/** The spans must cover the data without overlap, gap or rest, so that no byte has two meanings or none. */
function checkTiling(tensors: Map<string, TensorEntry>, dataStart: number, fileBytes: number, file: string): void {
  const spans = [...tensors].sort(([, a], [, b]) => a.byteOffset - b.byteOffset || a.byteLength - b.byteLength);
  let end = dataStart;
  for (const [name, entry] of spans) {
    if (entry.byteOffset !== end) {
      const found = entry.byteOffset < end ? "overlaps the tensor before it" : "leaves a gap before it";
      const [at, wanted] = [entry.byteOffset - dataStart, end - dataStart];
      throw new ModelError(`${file}: tensor ${quote(name)} ${found}: it begins at ${at}, wanted ${wanted}`);
    }
    end += entry.byteLength;
  }
  if (end !== fileBytes) {
    throw new ModelError(`${file}: the tensors end at byte ${end}, the file at ${fileBytes}`);
  }
}

function parseMetadata(value: unknown, file: string): Record<string, string> {
  if (value === undefined) return {};
  if (!isObject(value)) throw new ModelError(`${file}: __metadata__ is ${describe(value)}, wanted an object`);
  const metadata: Record<string, string> = {};
  for (const [key, text] of Object.entries(value)) {
    if (typeof text !== "string") {
      throw new ModelError(`${file}: __metadata__ ${quote(key)} is ${describe(text)}, wanted a string`);
    }
    metadata[key] = text;
  }
  return metadata;
}

function isObject(value: unknown): value is Record<string, unknown> {
  return typeof value === "object" && value !== null && !Array.isArray(value);
}

function isCountArray(value: unknown): value is number[] {
  return Array.isArray(value) && value.every((item) => Number.isSafeInteger(item) && item >= 0);
}

function describe(value: unknown): string {
  return value === undefined ? "missing" : quote(value);
}
