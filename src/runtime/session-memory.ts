// How much memory a session takes, before it is opened: its weights in the form in which ONNX Runtime keeps them, and the tensors
// of its largest run. Measured on a CPU: weights of products are held as float32, or as they are when quantised; tables stay in
// the mapped file, of which pages that were not read take nothing; opening widens all other matrices for a moment.

import type { GraphCost } from "../tensor/graph-cost.ts";
import type { SessionOptions } from "./session.ts";
import { bytesPerElement, isQuantized, type WeightSource } from "./weight-source.ts";

const FLOAT_BYTES = 4;
/** Quantised matrices are laid out anew for the processor, with their scales widened. */
const QUANTIZED_OVERHEAD = 1.1;

export interface SessionMemory {
  /** Weights, for as long as the session is open. Of those that are widened at each run the mapped file. */
  readonly weightBytes: number;
  /** Beside them during a run, inputs and results included; a session keeps the most that it had. */
  readonly runBytes: number;
  /** Beside the weights while it is opened. */
  readonly openingBytes: number;
  /** Whether there are weights that `widening` is about. */
  readonly isNarrow: boolean;
}

/** The memory of a session for a graph of this cost, that of its largest run. */
export function sessionMemory(
  { weights: uses, inputBytes, peakBytes }: Pick<GraphCost, "weights" | "inputBytes" | "peakBytes">,
  weights: WeightSource,
  widening: SessionOptions["widening"] = "load",
): SessionMemory {
  let [weightBytes, widened, largest] = [0, 0, 0];
  let isNarrow = false;
  for (const { path, elements, use } of uses) {
    const stored = weights.find(path);
    if (!stored || use === "table") continue;
    const bytes = bytesPerElement(stored);
    if (use === "other") widened += elements * FLOAT_BYTES;
    else if (isQuantized(stored)) weightBytes += elements * bytes * QUANTIZED_OVERHEAD;
    else {
      isNarrow ||= bytes < FLOAT_BYTES;
      weightBytes += elements * (widening === "run" ? bytes : FLOAT_BYTES);
      largest = Math.max(largest, elements * FLOAT_BYTES);
    }
  }
  // Two weights are in float32 at a time where they are widened one after the other.
  const runBytes = inputBytes + peakBytes + (widening === "run" && isNarrow ? 2 * largest : 0);
  return { weightBytes, runBytes, openingBytes: widening === "run" ? 0 : widened + largest, isNarrow };
}
