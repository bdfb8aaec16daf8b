// The memory of a task: its open sessions and the KV cache.

import type { SessionOptions } from "../runtime/session.ts";
import { planSession, type SessionMemory, sessionMemory } from "../runtime/session-memory.ts";
import type { Task, Work } from "./workload.ts";

/** Node with ONNX Runtime loaded, before any model. */
export const BASE_BYTES = 150e6;

/** Bytes of a process with all sessions of a task open, as for the image tokenizer and the language model. */
export function memoryNeed({ works, cacheBytes }: Task, widening: SessionOptions["widening"] = "load"): number {
  const sessions = sessionsOf(works).map((own) => largestMemory(own, widening));
  const sum = (of: (memory: SessionMemory) => number) => sessions.reduce((total, memory) => total + of(memory), 0);
  const opening = Math.max(...sessions.map(({ openingBytes }) => openingBytes));
  return (
    BASE_BYTES +
    cacheBytes +
    sum(({ weightBytes }) => weightBytes) +
    Math.max(
      sum(({ runBytes }) => runBytes),
      opening,
    )
  );
}

/** Bytes of the drawing sessions beside the rest of a process, in turns within a limit as in SessionCache. */
export function drawingNeed({ works }: Task, limitBytes: number): number {
  const sessions = works.map(({ graph, weights, sizes }) => planSession(graph, weights, limitBytes, sizes));
  const held = sessions.reduce((sum, { heldBytes }) => sum + heldBytes, 0);
  const opening = Math.max(...sessions.map(({ mostBytes, heldBytes }) => mostBytes - heldBytes));
  return Math.min(held + opening, Math.max(limitBytes, ...sessions.map(({ mostBytes }) => mostBytes)));
}

/** Work grouped by session. */
function sessionsOf(works: readonly Work[]): Work[][] {
  const sessions = new Map<string, Work[]>();
  for (const work of works) sessions.set(work.session, [...(sessions.get(work.session) ?? []), work]);
  return [...sessions.values()];
}

/** Sessions keep the memory of their largest run. */
function largestMemory(works: readonly Work[], widening: SessionOptions["widening"]): SessionMemory {
  const runs = works.map(({ graph, weights, sizes }) => sessionMemory(graph, weights, widening, sizes));
  return { ...runs[0]!, runBytes: Math.max(...runs.map(({ runBytes }) => runBytes)) };
}
