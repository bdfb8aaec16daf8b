// One tensor from a checkpoint into another form, a few rows at a time, with the error that this makes.

import { bf16ToF32, f32ToBf16 } from "../checkpoint/bfloat16.ts";
import { dequantize, quantize } from "../checkpoint/block-quantization.ts";
import type { Checkpoint } from "../checkpoint/checkpoint.ts";
import { CheckpointError } from "../checkpoint/checkpoint-error.ts";
import type { TensorShape } from "../checkpoint/safetensors-layout.ts";
import type { ShardedWriter } from "../checkpoint/sharded-writer.ts";
import { countElements } from "../runtime/host-tensor.ts";
import { scalesName } from "../runtime/weight-source.ts";
import type { StoredForm, TensorPlan } from "./precision.ts";

/** Sums over the elements that a model reads: of their squares, and of the squares of what storing them changed. */
export interface SquareSums {
  readonly energy: number;
  readonly error: number;
}

/** Rows are read and written in runs of about so many elements: 64 MB of float32. */
const CHUNK_ELEMENTS = 2 ** 24;

/** The tensors that a planned tensor is stored as, by name. */
export function storedTensors({ name, shape, form }: TensorPlan): [string, TensorShape][] {
  if (typeof form === "string") return [[name, { dtype: form, shape }]];
  const [out, width] = shape as [number, number];
  const { bits, block } = form;
  return [
    [name, { dtype: "u8", shape: [out, width / block, (block * bits) / 8] }],
    [scalesName(name), { dtype: "f32", shape: [out, width / block] }],
  ];
}

/** Reads, converts and writes one tensor. Throws a CheckpointError when it holds NaN or infinity. */
export async function convertTensor(
  { name, shape, form, rows }: TensorPlan,
  source: Checkpoint,
  target: ShardedWriter,
  options: { readonly signal?: AbortSignal | undefined; readonly onWritten?: (bytes: number) => void } = {},
): Promise<SquareSums> {
  const [first, end] = rows ?? [0, shape[0] ?? 1];
  const width = countElements(shape.slice(1));
  const run = Math.max(1, Math.floor(CHUNK_ELEMENTS / width));
  let energy = 0;
  let error = 0;
  for (let start = first; start < end; start += run) {
    options.signal?.throwIfAborted();
    const stop = Math.min(end, start + run);
    const read = shape.length === 0 ? source.read(name) : source.read(name, [start, stop]);
    const elements = (await read).data as Float32Array;
    const { pieces, stored } = encode(elements, form);
    for (const [suffix, bytes] of pieces) {
      // Rows have equal lengths in every form, so the bytes before row `start` follow from those of this run.
      await target.write(suffix(name), (bytes.byteLength / (stop - start)) * start, bytes);
      options.onWritten?.(bytes.byteLength);
    }
    for (let i = 0; i < elements.length; i++) {
      energy += elements[i]! ** 2;
      error += (elements[i]! - stored[i]!) ** 2;
    }
  }
  if (!Number.isFinite(energy)) throw new CheckpointError(`${name} holds NaN or infinity; is the file whole?`);
  return { energy, error };
}

interface Encoded {
  /** The bytes of each tensor that is stored, with what makes its name. */
  readonly pieces: readonly (readonly [(name: string) => string, ArrayBufferView])[];
  /** The elements that they stand for. */
  readonly stored: Float32Array;
}

function encode(elements: Float32Array, form: StoredForm): Encoded {
  const own = (name: string) => name;
  if (form === "f32") return { pieces: [[own, elements]], stored: elements };
  if (form === "bf16") {
    const bits = f32ToBf16(elements);
    return { pieces: [[own, bits]], stored: bf16ToF32(bits) };
  }
  const blocks = quantize(elements, form);
  return {
    pieces: [
      [own, blocks.values],
      [scalesName, blocks.scales],
    ],
    stored: dequantize(blocks, form),
  };
}
