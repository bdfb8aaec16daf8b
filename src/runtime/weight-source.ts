// Where the weights of a session come from. A weight is one tensor, or a matrix at lower precision, which is stored as two:
// the numbers of each block, and the blocks' scales. Who finds both under their names sees one matrix.

import type { AdaptLinear } from "../tensor/graph.ts";
import { elementBytes, type HostDType } from "./host-tensor.ts";

/** Where the bytes of one tensor are. */
export type TensorLocation = { readonly dtype: HostDType; readonly shape: readonly number[] } & (
  | { readonly data: Uint8Array }
  | { readonly file: string; readonly byteOffset: number; readonly byteLength: number }
);

/** How the elements of a matrix at lower precision are stored. */
export interface BlockFormat {
  readonly bits: 4 | 8;
  /** Consecutive elements of one row that share a scale. */
  readonly block: 32 | 128;
}

/** A matrix [out, in] whose elements are (stored number - zero point) * scale of their block; the zero point is 8 or 128. */
export interface QuantizedMatrix<Location extends TensorLocation = TensorLocation> extends BlockFormat {
  readonly shape: readonly [out: number, in_: number];
  /** u8 [out, in/block, block*bits/8]; of two 4-bit numbers in a byte the first is the lower half. */
  readonly values: Location;
  /** f32 [out, in/block] */
  readonly scales: Location;
}

export type WeightLocation = TensorLocation | QuantizedMatrix;

/** Finds parameters by path: an opened checkpoint, or tensors in memory. */
export interface WeightSource {
  find(name: string): WeightLocation | undefined;
  /** Set by a source that brings an adapter along: the graphs that read it are traced with this. */
  readonly adaptLinear?: AdaptLinear;
}

export function isQuantized<Location extends TensorLocation>(
  weight: Location | QuantizedMatrix<Location>,
): weight is QuantizedMatrix<Location> {
  return "scales" in weight;
}

/** Whether a stored weight is one of this shape. A 1 x 1 convolution [out, in, 1, 1] is a matrix, and is quantised and widened as one. */
export function hasShape({ shape: stored }: WeightLocation, shape: readonly number[]): boolean {
  const isPointwise = stored.length === 2 && shape.length > 2 && shape.slice(2).every((n) => n === 1);
  return `${stored}` === `${isPointwise ? shape.slice(0, 2) : shape}`;
}

/** Bytes of one element as it is stored, its share of the scales included. */
export function bytesPerElement(weight: WeightLocation): number {
  return isQuantized(weight) ? weight.bits / 8 + SCALE_BYTES / weight.block : elementBytes(weight.dtype);
}

const SCALE_BYTES = 4;

/** The name under which the scales of a quantised matrix are stored. */
export function scalesName(name: string): string {
  return `${name}_scale`;
}

/** Each width of a stored block, in bytes, belongs to one format only, so that a matrix needs no description beside it. */
const formats: ReadonlyMap<number, BlockFormat> = new Map(
  ([4, 8] as const).flatMap((bits) =>
    ([32, 128] as const).map((block) => [(block * bits) / 8, { bits, block }] as const),
  ),
);

/**
 * The tensor `name`, or the quantised matrix that it forms with its scales. `find` finds single tensors. Throws when there
 * are scales that do not fit: a u8 tensor and its scales agree exactly or are rejected.
 */
export function locateWeight<Location extends TensorLocation>(
  name: string,
  find: (name: string) => Location | undefined,
): Location | QuantizedMatrix<Location> | undefined {
  const values = find(name);
  const scales = find(scalesName(name));
  if (values?.dtype !== "u8" || !scales) return values;
  const [out, blocks, bytes] = values.shape;
  const format = values.shape.length === 3 ? formats.get(bytes!) : undefined;
  if (!format || scales.dtype !== "f32" || `${scales.shape}` !== `${[out, blocks]}`) {
    throw new Error(
      `${name} is u8 [${values.shape}] with scales ${scales.dtype} [${scales.shape}]; a quantised matrix is u8 [out, blocks, ${[...formats.keys()].join(" or ")}] with scales f32 [out, blocks]`,
    );
  }
  return { ...format, shape: [out!, blocks! * format.block], values, scales };
}
