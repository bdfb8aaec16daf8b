// Converts one tensor of a checkpoint to another form, a few rows at a time, and measures the error.

import type { Checkpoint, FileLocation } from "../checkpoint/checkpoint.ts";
import type { RowRange } from "../checkpoint/safetensors.ts";
import { ModelError } from "../errors.ts";
import { openFileAt } from "../files/folder.node.ts";
import { type ModelFile, readInto } from "../files/model-files.ts";
import { countElements } from "../runtime/host-tensor.ts";
import { isQuantized, scalesName } from "../runtime/weight-source.ts";
import type { ConvertMemory, SquareSums } from "./convert-memory.ts";
import type { TensorPlan } from "./precision.ts";
import type { TensorShape } from "./safetensors-layout.ts";
import type { ShardedWriter } from "./sharded-writer.ts";

/**
 * Rows are read and written in runs of about this many elements: 2 MB of bf16, still in the last-level cache when converted.
 */
const RUN_ELEMENTS = 2 ** 20;

export interface ConvertTensorOptions {
  /** Used by one conversion at a time. */
  readonly memory: ConvertMemory;
  readonly runElements?: number;
  readonly signal?: AbortSignal | undefined;
  readonly onWritten?: (bytes: number) => void;
}

/** The stored tensors of a planned tensor, by name. */
export function storedTensors({ name, shape, form }: TensorPlan): [string, TensorShape][] {
  if (typeof form === "string") return [[name, { dtype: form, shape }]];
  const [out, width] = shape as [number, number];
  const { bits, block } = form;
  return [
    [name, { dtype: "u8", shape: [out, width / block, (block * bits) / 8] }],
    [scalesName(name), { dtype: "f32", shape: [out, width / block] }],
  ];
}

/** Reads, converts and writes one tensor. Throws a ModelError if it contains NaN or infinity. */
export async function convertTensor(
  { name, shape, form, rows }: TensorPlan,
  source: Checkpoint,
  target: ShardedWriter,
  { memory, runElements = RUN_ELEMENTS, signal, onWritten }: ConvertTensorOptions,
): Promise<SquareSums> {
  const [first, end] = rows ?? [0, shape[0] ?? 1];
  const width = countElements(shape.slice(1));
  const run = Math.max(1, Math.floor(runElements / width));
  memory.begin(Math.min(run, end - first) * width);
  const reader = await openRows(source, name, shape, memory);
  try {
    for (let start = first; start < end; start += run) {
      signal?.throwIfAborted();
      const stop = Math.min(end, start + run);
      await reader.read([start, stop]);
      const { values, scales } = memory.encode(reader.dtype, (stop - start) * width, form);
      if (!Number.isFinite(memory.sums.energy))
        throw new ModelError(`${name} contains NaN or infinity; is the file complete?`);
      const pieces: [string, ArrayBufferView][] = [[name, values]];
      if (scales) pieces.push([scalesName(name), scales]);
      for (const [piece, bytes] of pieces) {
        // Rows have equal lengths in every form, so the offset of row `start` follows from this run's bytes.
        await target.write(piece, (bytes.byteLength / (stop - start)) * start, bytes);
        onWritten?.(bytes.byteLength);
      }
    }
  } finally {
    await reader.close();
  }
  return memory.sums;
}

/** Reads rows into the memory, as stored or widened. */
interface RowReader {
  readonly dtype: "bf16" | "f32";
  read(rows: RowRange): Promise<void>;
  close(): Promise<void>;
}

/** bf16 and float32 are read in place; anything else goes through a float32 array. */
async function openRows(
  source: Checkpoint,
  name: string,
  shape: readonly number[],
  memory: ConvertMemory,
): Promise<RowReader> {
  const found = source.find(name);
  if (found && !isQuantized(found) && (found.dtype === "bf16" || found.dtype === "f32"))
    return readDirectly(found, found.dtype, await openFileAt(found.file), shape, memory);
  return {
    dtype: "f32",
    async read(rows) {
      const { data } = await (shape.length === 0 ? source.read(name) : source.read(name, rows));
      const { buffer, byteOffset, byteLength } = data;
      memory.input(byteLength).set(new Uint8Array(buffer, byteOffset, byteLength));
    },
    async close() {},
  };
}

function readDirectly(
  { byteOffset, byteLength }: FileLocation,
  dtype: "bf16" | "f32",
  file: ModelFile,
  shape: readonly number[],
  memory: ConvertMemory,
): RowReader {
  const rowBytes = byteLength / (shape[0] ?? 1);
  return {
    dtype,
    read: ([start, end]) => readInto(file, byteOffset + start * rowBytes, memory.input((end - start) * rowBytes)),
    close: () => file.close(),
  };
}
