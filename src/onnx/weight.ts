// Weights of inference graphs before it is known how they are used: the operation that reads a weight decides in what form it
// enters the model (lower.ts). A range of rows is a weight too, over fewer bytes, so slicing one copies nothing.

import type { OnnxInitializer } from "./encode.ts";

/** A matrix [out, in] at lower precision, as MatMulNBits and GatherBlockQuantized read it. */
export interface QuantizedInitializer {
  readonly name: string;
  readonly shape: readonly [out: number, in_: number];
  readonly bits: 4 | 8;
  readonly block: number;
  /** u8 [out, in/block, block*bits/8] */
  readonly values: OnnxInitializer;
  /** f32 [out, in/block] */
  readonly scales: OnnxInitializer;
}

export type Weight = OnnxInitializer | QuantizedInitializer;

export function isQuantizedWeight(weight: Weight): weight is QuantizedInitializer {
  return "scales" in weight;
}

/** Rows start .. end-1 of a weight, where they lie. */
export function rowsOf(weight: Weight, start: number, end: number): Weight {
  if (!isQuantizedWeight(weight)) return initializerRows(weight, start, end);
  const { values, scales, shape } = weight;
  return {
    ...weight,
    name: rowsName(weight.name, start, end),
    shape: [end - start, shape[1]],
    values: initializerRows(values, start, end),
    scales: initializerRows(scales, start, end),
  };
}

function initializerRows(tensor: OnnxInitializer, start: number, end: number): OnnxInitializer {
  const bytes = "bytes" in tensor ? tensor.bytes.length : tensor.byteLength;
  const row = bytes / tensor.shape[0]!;
  const { dtype } = tensor;
  const part = { name: rowsName(tensor.name, start, end), dtype, shape: [end - start, ...tensor.shape.slice(1)] };
  if ("bytes" in tensor) return { ...part, bytes: tensor.bytes.subarray(start * row, end * row) };
  const { location, byteOffset } = tensor;
  return { ...part, location, byteOffset: byteOffset + start * row, byteLength: (end - start) * row };
}

function rowsName(name: string, start: number, end: number): string {
  return `${name}[${start}:${end}]`;
}
