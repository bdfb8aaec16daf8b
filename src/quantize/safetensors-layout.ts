// Lays out a safetensors file before any tensor is written.

import { dtypeNames, MAX_HEADER_BYTES, PREFIX_BYTES, type TensorEntry } from "../checkpoint/safetensors-header.ts";
import { ModelError, quote } from "../errors.ts";
import { countElements, elementBytes, type HostDType } from "../runtime/host-tensor.ts";

export interface TensorShape {
  readonly dtype: HostDType;
  readonly shape: readonly number[];
}

export interface SafetensorsLayout {
  /** The bytes before the first tensor. */
  readonly header: Uint8Array;
  readonly places: ReadonlyMap<string, TensorEntry>;
  readonly fileBytes: number;
}

/**
 * Lays out a file: the header lists tensors by name; the data has wide elements first, so that every tensor is aligned to its
 * element. Equal tensors give equal files. Throws a ModelError, naming `file`, for names that cannot be.
 */
export function layOut(
  tensors: Iterable<readonly [name: string, tensor: TensorShape]>,
  metadata: Readonly<Record<string, string>>,
  file: string,
): SafetensorsLayout {
  const named = sortByName([...tensors]);
  const ordered = [...named].sort(([, a], [, b]) => elementBytes(b.dtype) - elementBytes(a.dtype));
  const begins = new Map<string, number>();
  let end = 0;
  for (const [name, tensor] of ordered) {
    if (begins.has(name)) throw new ModelError(`${file}: tensor ${quote(name)} is duplicated`);
    if (name === "__metadata__" || name === "__proto__")
      throw new ModelError(`${file}: no tensor may be called ${name}`);
    begins.set(name, end);
    end += tensorBytes(tensor);
  }
  const header = encodeHeader(named, begins, metadata);
  if (header.length - PREFIX_BYTES > MAX_HEADER_BYTES) {
    throw new ModelError(
      `${file}: the header would have ${header.length - PREFIX_BYTES} bytes, at most ${MAX_HEADER_BYTES}`,
    );
  }
  const places = named.map(([name, tensor]) => {
    const { dtype, shape } = tensor;
    const byteOffset = header.length + begins.get(name)!;
    return [name, { dtype, shape, byteOffset, byteLength: tensorBytes(tensor) }] as const;
  });
  return { header, places: new Map(places), fileBytes: header.length + end };
}

/** The length in 8 bytes, then the JSON, padded to a multiple of 8. */
function encodeHeader(
  named: readonly (readonly [string, TensorShape])[],
  begins: ReadonlyMap<string, number>,
  metadata: Readonly<Record<string, string>>,
): Uint8Array {
  const entries = named.map(([name, tensor]) => {
    const begin = begins.get(name)!;
    const { dtype, shape } = tensor;
    return [name, { dtype: dtypeNames[dtype], shape, data_offsets: [begin, begin + tensorBytes(tensor)] }];
  });
  const first = Object.keys(metadata).length
    ? { __metadata__: Object.fromEntries(sortByName(Object.entries(metadata))) }
    : {};
  const text = new TextEncoder().encode(JSON.stringify({ ...first, ...Object.fromEntries(entries) }));
  const length = Math.ceil(text.length / 8) * 8;
  const header = new Uint8Array(PREFIX_BYTES + length).fill(" ".charCodeAt(0));
  new DataView(header.buffer).setBigUint64(0, BigInt(length), true);
  header.set(text, PREFIX_BYTES);
  return header;
}

/** Bytes of a whole tensor. */
export function tensorBytes({ dtype, shape }: TensorShape): number {
  return countElements(shape) * elementBytes(dtype);
}

function sortByName<T>(entries: (readonly [string, T])[]): (readonly [string, T])[] {
  return entries.sort(([a], [b]) => (a < b ? -1 : a > b ? 1 : 0));
}
