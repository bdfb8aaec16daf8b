// What a task needs in memory, from the weights that its sessions hold and the results between their nodes. Measured of ONNX
// Runtime on a CPU: weights of products are held as float32, or as they are when quantised; tables stay in the mapped file, of which
// pages that were not read take nothing; opening a session widens all other matrices for a moment, and one product's beside its own copy.

import { precisionOf } from "../checkpoint/precision.ts";
import type { Task, Work } from "./workload.ts";

export interface MemoryNeed {
  /** In all, at the worst moment. */
  readonly bytes: number;
  /** Of it, weights that stay. */
  readonly weightBytes: number;
  /** Of it, results between nodes, the cache of keys and values, and what opening sessions needs for a moment. */
  readonly workBytes: number;
}

/** Node with ONNX Runtime loaded, before any model. */
export const BASE_BYTES = 150e6;
/** Quantised matrices are laid out anew for the processor, with their scales widened. */
const QUANTIZED_OVERHEAD = 1.1;
const FLOAT_BYTES = 4;

/** The memory that a process needs for a task. */
export function memoryNeed({ works, cacheBytes }: Task): MemoryNeed {
  const sessions = new Map<string, Work[]>();
  for (const work of works) sessions.set(work.session, [...(sessions.get(work.session) ?? []), work]);
  let weightBytes = 0;
  let resultBytes = cacheBytes;
  let openingBytes = 0;
  for (const own of sessions.values()) {
    const held = heldBytes(own[0]!);
    weightBytes += held.weightBytes;
    // Sessions keep the memory that their largest run took.
    resultBytes += Math.max(...own.map(({ cost }) => cost.peakBytes + cost.inputBytes));
    openingBytes = Math.max(openingBytes, held.openingBytes);
  }
  const workBytes = Math.max(resultBytes, openingBytes);
  return { bytes: BASE_BYTES + weightBytes + workBytes, weightBytes, workBytes };
}

/** What a session holds of its weights, and what it needs beside them while it is opened. */
function heldBytes({ cost, weights }: Work): { readonly weightBytes: number; readonly openingBytes: number } {
  let weightBytes = 0;
  let widened = 0;
  let largest = 0;
  for (const { path, elements, use } of cost.weights) {
    const stored = weights.find(path);
    if (!stored || use === "table") continue;
    const { isQuantized, bytesPerElement } = precisionOf(stored);
    if (use === "other") widened += elements * FLOAT_BYTES;
    else if (isQuantized) weightBytes += elements * bytesPerElement * QUANTIZED_OVERHEAD;
    else {
      weightBytes += elements * FLOAT_BYTES;
      largest = Math.max(largest, elements * FLOAT_BYTES);
    }
  }
  return { weightBytes, openingBytes: widened + largest };
}
