// Tensors in ordinary memory: what goes into a session, comes out of it, and stands in safetensors files.
// bf16 and f16 have no typed array of their own here and travel as their bit patterns in a Uint16Array.

const arrays = {
  f64: Float64Array,
  f32: Float32Array,
  bf16: Uint16Array,
  f16: Uint16Array,
  i64: BigInt64Array,
  i32: Int32Array,
  i16: Int16Array,
  u16: Uint16Array,
  i8: Int8Array,
  u8: Uint8Array,
  bool: Uint8Array,
} as const;

export type HostDType = keyof typeof arrays;
export type TypedArray =
  | Float64Array
  | Float32Array
  | BigInt64Array
  | Int32Array
  | Int16Array
  | Uint16Array
  | Int8Array
  | Uint8Array;

export interface HostTensor {
  readonly dtype: HostDType;
  readonly shape: readonly number[];
  readonly data: TypedArray;
}

/** Bytes of one element. */
export function elementBytes(dtype: HostDType): number {
  return arrays[dtype].BYTES_PER_ELEMENT;
}

/** The number of elements of a shape; 1 for a scalar. */
export function countElements(shape: readonly number[]): number {
  return shape.reduce((product, size) => product * size, 1);
}

/** Pairs data with its shape; throws if the lengths or the array's kind do not fit. */
export function hostTensor(dtype: HostDType, data: TypedArray, shape: readonly number[]): HostTensor {
  if (!(data instanceof arrays[dtype])) {
    throw new Error(`A ${dtype} tensor is held in ${arrays[dtype].name}, got ${data.constructor.name}`);
  }
  if (data.length !== countElements(shape)) {
    throw new Error(`Shape [${shape}] has ${countElements(shape)} elements, the data ${data.length}`);
  }
  return { dtype, shape, data };
}

/** A tensor over the bytes of `buffer`, which starts at its first element and ends with its last. */
export function fromBuffer(dtype: HostDType, buffer: ArrayBuffer, shape: readonly number[]): HostTensor {
  return hostTensor(dtype, new arrays[dtype](buffer), shape);
}

/** Arrays one after the other. */
export function joinFloats(parts: readonly Float32Array[]): Float32Array {
  return joinInto(Float32Array, parts);
}

export function joinIntegers(parts: readonly Int32Array[]): Int32Array {
  return joinInto(Int32Array, parts);
}

function joinInto<T extends Float32Array | Int32Array>(kind: new (length: number) => T, parts: readonly T[]): T {
  const joined = new kind(parts.reduce((sum, { length }) => sum + length, 0));
  let at = 0;
  for (const part of parts) {
    joined.set(part, at);
    at += part.length;
  }
  return joined;
}

export function f32(data: ArrayLike<number>, shape: readonly number[]): HostTensor {
  return hostTensor("f32", data instanceof Float32Array ? data : Float32Array.from(data), shape);
}

export function i32(data: ArrayLike<number>, shape: readonly number[]): HostTensor {
  return hostTensor("i32", data instanceof Int32Array ? data : Int32Array.from(data), shape);
}
