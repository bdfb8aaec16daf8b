// The operations of the graph: the one list that lowering (onnx/lower.ts) and gradients (gradient-rules.ts) are checked against.
// A node is plain data; shapes are settled when it is made (tensor.ts).

import type { Dim } from "./dims.ts";

export type DType = "f32" | "f64" | "i32" | "i64" | "u16" | "u8" | "i8" | "bool" | "bf16" | "f16";

export type Unary =
  | "neg"
  | "exp"
  | "sqrt"
  | "abs"
  | "sin"
  | "cos"
  | "sigmoid"
  | "erf"
  | "relu"
  | "silu"
  | "gelu"
  | "geluTanh"
  | "floor";
export type Binary = "add" | "sub" | "mul" | "div";

export interface ConvAttributes {
  readonly stride: number;
  readonly padding: number;
  readonly groups: number;
}

/** Elements start, start + step, .. below end of one axis. */
export interface AxisRange {
  readonly axis: number;
  readonly start: number;
  readonly end: number;
  readonly step: number;
}

/** Zeros to add before and after one axis. */
export interface AxisMargin {
  readonly axis: number;
  readonly before: number;
  readonly after: number;
}

/** Attributes of each operation, by name. Operands are the node's inputs. */
export type OpAttributes = { readonly [K in Unary | Binary]: Record<never, never> } & {
  /** A value fed at run time. */
  readonly input: { readonly name: string };
  /** A weight, by its full path. */
  readonly param: { readonly path: string };
  readonly constant: { readonly data: Float32Array | Int32Array | BigInt64Array };
  /** [.., M, K] x [.., K, N], times scale; transA and transB say that the last two axes are stored swapped. */
  readonly matmul: { readonly transA: boolean; readonly transB: boolean; readonly scale: number };
  /** x [R, in], weight [out, in], bias [out] -> x weight^T + bias. */
  readonly linear: Record<never, never>;
  readonly reshape: { readonly shape: readonly Dim[] };
  readonly transpose: { readonly perm: readonly number[] };
  readonly expand: { readonly shape: readonly Dim[] };
  readonly slice: { readonly ranges: readonly AxisRange[] };
  /** Zeros before and after. */
  readonly pad: { readonly margins: readonly AxisMargin[] };
  readonly concat: { readonly axis: number };
  readonly split: { readonly axis: number; readonly sizes: readonly Dim[] };
  readonly sum: { readonly axes: readonly number[] };
  readonly mean: { readonly axes: readonly number[] };
  readonly softmax: Record<never, never>;
  /** scores [.., M, K], values [.., K, N] -> softmax(scores) values [.., M, N], softmax(scores). */
  readonly softmaxMatmul: Record<never, never>;
  readonly logSoftmax: Record<never, never>;
  /** Rows of the first input chosen by the second. */
  readonly gather: Record<never, never>;
  /** x [R, ..] with values [..indices, ..] added at the rows that indices name. Inputs: x, indices, values. */
  readonly addRows: Record<never, never>;
  /** x [R, V], indices [R] -> x[r, indices[r]]. */
  readonly pick: Record<never, never>;
  /** x [R, V] with values [R] added at (r, indices[r]). Inputs: x, indices, values. */
  readonly addAt: Record<never, never>;
  /** logits [R, V], labels [R] -> losses [R], log-probabilities [R, V]. */
  readonly crossEntropy: Record<never, never>;
  /** x [R, D], matrix [V, D], labels [R] -> losses [R] of the logits x matrix^T, their log-probabilities [R, V]. */
  readonly linearCrossEntropy: Record<never, never>;
  readonly argmin: Record<never, never>;
  readonly argmax: Record<never, never>;
  /** x, count [1] -> the largest values along the last axis in descending order, and where each came from (i32). */
  readonly largest: Record<never, never>;
  /** Running sum along the last axis, each element included. */
  readonly cumulativeSum: Record<never, never>;
  readonly stopGradient: Record<never, never>;
  /** x, scale, bias (the bias, or both, may be absent) -> y, mean, reciprocal deviation. */
  readonly layerNorm: { readonly eps: number };
  /** x, scale -> y, reciprocal root mean square. */
  readonly rmsNorm: { readonly eps: number };
  /** x, cos, sin; with a fourth operand it names the row of cos and sin for each position. */
  readonly rotary: Record<never, never>;
  /** x, weight, bias (may be absent). */
  readonly conv2d: ConvAttributes;
  /** dy, weight -> gradient of the convolution's input [B, C, H, W]. */
  readonly convInput: ConvAttributes & { readonly height: number; readonly width: number };
};

export type OpName = keyof OpAttributes;
