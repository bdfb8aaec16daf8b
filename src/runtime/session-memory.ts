// How much memory a session takes, before it is opened: its weights in the form in which ONNX Runtime keeps them, and the
// tensors of its largest run. Measured on a CPU; docs/decisions/0006-detokenizer-memory.md has the figures.

import type { Sizes } from "../tensor/dims.ts";
import { type Graph, neededNodes } from "../tensor/graph.ts";
import { peakBytes, tensorBytes } from "../tensor/peak-memory.ts";
import { elementBytes } from "./host-tensor.ts";
import type { SessionOptions } from "./session.ts";
import { isQuantized, type WeightLocation, type WeightSource } from "./weight-source.ts";

const FLOAT_BYTES = 4;
/** Kernels rearrange pictures into blocks of channels and back; the copies come on top of what a graph shows. */
const KERNEL_SHARE = 1.25;

export interface SessionMemory {
  /** Weights, for as long as the session is open; what stays in mapped files is counted, though the system may drop it. */
  readonly weightBytes: number;
  /** Beside them during a run, inputs and results included. */
  readonly runBytes: number;
}

/** The memory of a session for this graph; `sizes` are those of its largest run. */
export function sessionMemory(
  graph: Graph,
  weights: WeightSource,
  widening: SessionOptions["widening"] = "load",
  sizes: Sizes = {},
): SessionMemory {
  let weightBytes = 0;
  let widestBytes = 0;
  for (const { elements, stored } of usedWeights(graph, weights)) {
    const isWidened = stored !== undefined && !isQuantized(stored) && elementBytes(stored.dtype) < FLOAT_BYTES;
    if (isWidened && widening === "run") widestBytes = Math.max(widestBytes, elements * FLOAT_BYTES);
    weightBytes += isWidened && widening === "load" ? elements * FLOAT_BYTES : storedBytes(stored, elements);
  }
  const inputs = [...graph.inputs.values()].reduce((sum, input) => sum + tensorBytes(input, sizes), 0);
  return { weightBytes, runBytes: inputs + KERNEL_SHARE * peakBytes(graph, sizes) + 2 * widestBytes };
}

/** Whether a graph reads weights that are widened to float32. */
export function readsNarrowWeights(graph: Graph, weights: WeightSource): boolean {
  return usedWeights(graph, weights).some(
    ({ stored }) => stored && !isQuantized(stored) && elementBytes(stored.dtype) < FLOAT_BYTES,
  );
}

function usedWeights(graph: Graph, weights: WeightSource): { elements: number; stored: WeightLocation | undefined }[] {
  const used = new Set(neededNodes(graph));
  return [...graph.parameters.values()]
    .filter(({ tensor }) => used.has(tensor.node))
    .map(({ path, shape }) => ({ elements: shape.reduce((a, b) => a * b, 1), stored: weights.find(path) }));
}

function storedBytes(stored: WeightLocation | undefined, elements: number): number {
  if (!stored) return elements * FLOAT_BYTES;
  if (!isQuantized(stored)) return elements * elementBytes(stored.dtype);
  return elements * (stored.bits / 8 + FLOAT_BYTES / stored.block);
}
