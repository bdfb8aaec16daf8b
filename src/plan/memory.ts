// What a task needs in memory, from the weights that its sessions hold and the results between their nodes.

import { DRAWING_BYTES } from "../detokenizer/detokenizer.ts";
import { sharedMemory } from "../runtime/session-cache.ts";
import { sessionMemory } from "../runtime/session-memory.ts";
import type { Task, Work } from "./workload.ts";

export interface MemoryNeed {
  /** In all, at the worst moment. */
  readonly bytes: number;
  /** Of it, weights that stay. */
  readonly weightBytes: number;
  /**
   * Of it, results between nodes, the cache of keys and values, what opening sessions needs for a moment, and all that draws
   * pictures, whose networks may take turns.
   */
  readonly workBytes: number;
}

/** Node with ONNX Runtime loaded, before any model. */
export const BASE_BYTES = 150e6;

/** The memory that a process needs for a task, if what draws pictures may hold `drawingBytes`. */
export function memoryNeed({ works, cacheBytes }: Task, drawingBytes = DRAWING_BYTES): MemoryNeed {
  const sessions = new Map<string, Work>();
  for (const work of works) {
    // Sessions keep the memory that their largest run took.
    const other = sessions.get(work.session);
    if (!other || runBytes(other) < runBytes(work)) sessions.set(work.session, work);
  }
  const all = [...sessions.values()];
  const open = all.filter(({ takesTurns }) => !takesTurns).map(({ cost, weights }) => sessionMemory(cost, weights));
  const sum = (values: readonly number[]) => values.reduce((a, b) => a + b, 0);
  const weightBytes = sum(open.map((session) => session.weightBytes));
  const resultBytes = cacheBytes + sum(open.map((session) => session.runBytes));
  const openingBytes = Math.max(0, ...open.map((session) => session.openingBytes));
  const turns = all.filter(({ takesTurns }) => takesTurns);
  const drawing = turns.map(({ cost, weights }) => sharedMemory(cost, weights, drawingBytes).bytes);
  const workBytes = Math.max(resultBytes, openingBytes) + Math.min(sum(drawing), Math.max(drawingBytes, ...drawing));
  return { bytes: BASE_BYTES + weightBytes + workBytes, weightBytes, workBytes };
}

function runBytes({ cost }: Work): number {
  return cost.inputBytes + cost.peakBytes;
}
