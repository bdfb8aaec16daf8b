// How much memory a session takes, before it is opened: its weights in the form in which ONNX Runtime keeps them, and the
// tensors of its largest run. Measured on a CPU; docs/decisions/0006-detokenizer-memory.md has the figures.

import type { Sizes } from "../tensor/dims.ts";
import type { Graph } from "../tensor/graph.ts";
import { peakBytes, tensorBytes } from "../tensor/peak-memory.ts";
import { isReadWhole, weightUses } from "../tensor/weight-uses.ts";
import { elementBytes } from "./host-tensor.ts";
import type { SessionOptions } from "./session.ts";
import { bytesPerElement, isQuantized, type WeightLocation, type WeightSource } from "./weight-source.ts";

const FLOAT_BYTES = 4;
/** Kernels rearrange images into blocks of channels and back; the copies come on top of what a graph shows. */
const KERNEL_SHARE = 1.25;
/** Quantised matrices are laid out anew for the processor, and a part of the mapped file stays beside them. */
const QUANTIZED_SHARE = 1.1;

export interface SessionMemory {
  /** Weights, for as long as the session is open. Tables of which rows are looked up stay in the mapped file and are not counted. */
  readonly weightBytes: number;
  /**
   * Beside them while it is opened: matrices that something is computed from once, the filters of convolutions once more, and the
   * largest product's before it is laid out.
   */
  readonly openingBytes: number;
  /** Beside the weights during a run, inputs and results included. */
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
  let openingBytes = 0;
  let widestBytes = 0;
  let largest = 0;
  for (const weight of weightUses(graph)) {
    const { path, elements, use } = weight;
    const stored = weights.find(path);
    if (use === "table") continue;
    const isWidened = isNarrow(stored) && widening === "run";
    const bytes = isWidened ? storedBytes(stored, elements) : heldBytes(stored, elements);
    if (isWidened) widestBytes = Math.max(widestBytes, elements * FLOAT_BYTES);
    if (isReadWhole(weight)) {
      weightBytes += bytes;
      largest = Math.max(largest, heldBytes(stored, elements));
    } else openingBytes += bytes;
    // ONNX Runtime makes its own layout of all filters before it lets go of the first.
    if (use === "filter" && !isWidened && !(stored && isQuantized(stored))) openingBytes += bytes;
  }
  const inputs = [...graph.inputs.values()].reduce((sum, input) => sum + tensorBytes(input, sizes), 0);
  return {
    weightBytes,
    openingBytes: openingBytes + (widening === "run" ? 0 : largest),
    runBytes: inputs + KERNEL_SHARE * peakBytes(graph, sizes) + 2 * widestBytes,
  };
}

/** How a session is opened within a limit, and what it takes. */
export interface SessionPlan {
  readonly widening: "load" | "run";
  /** While it is opened or runs, whichever is more. */
  readonly mostBytes: number;
  /** From then on. */
  readonly heldBytes: number;
}

/** Narrow weights are widened when the session is opened, or, where it does not fit into `limitBytes` so, at each run. */
export function planSession(graph: Graph, weights: WeightSource, limitBytes: number, sizes: Sizes = {}): SessionPlan {
  const plan = (widening: "load" | "run"): SessionPlan => {
    const { weightBytes, openingBytes, runBytes } = sessionMemory(graph, weights, widening, sizes);
    return { widening, mostBytes: weightBytes + Math.max(openingBytes, runBytes), heldBytes: weightBytes + runBytes };
  };
  const whole = plan("load");
  const hasNarrow = weightUses(graph).some(({ path, use }) => use !== "table" && isNarrow(weights.find(path)));
  return whole.mostBytes > limitBytes && hasNarrow ? plan("run") : whole;
}

function isNarrow(stored: WeightLocation | undefined): stored is Exclude<WeightLocation, { readonly scales: unknown }> {
  return stored !== undefined && !isQuantized(stored) && elementBytes(stored.dtype) < FLOAT_BYTES;
}

/** Bytes of a weight in an open session that widens when it is opened. */
function heldBytes(stored: WeightLocation | undefined, elements: number): number {
  return stored && isQuantized(stored) ? QUANTIZED_SHARE * storedBytes(stored, elements) : elements * FLOAT_BYTES;
}

function storedBytes(stored: WeightLocation | undefined, elements: number): number {
  return elements * (stored ? bytesPerElement(stored) : FLOAT_BYTES);
}
