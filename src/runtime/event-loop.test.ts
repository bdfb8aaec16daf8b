import { expect, test } from "vitest";
import { Graph } from "../tensor/graph.ts";
import { openTrainingSession } from "../train/training-session.ts";
import { turnEventLoop } from "./event-loop.ts";
import { f32 } from "./host-tensor.ts";
import { memoryWeights } from "./memory-weights.ts";
import { openSession, type Session, type SessionOptions } from "./session.ts";

function doubling(): Graph {
  const graph = new Graph();
  graph.output("y", graph.input("x", [1]).mul(2));
  return graph;
}

/** Whether a timer that is due fires by the time that the next run ends. */
async function firesBefore(session: Session): Promise<boolean> {
  let hasFired = false;
  setTimeout(() => {
    hasFired = true;
  }, 1);
  const due = performance.now() + 3;
  while (performance.now() < due);
  await session.run({ x: f32([1], [1]) });
  return hasFired;
}

test.each<[string, (graph: Graph, options: SessionOptions) => Promise<Session>]>([
  ["inference", (graph, options) => openSession(graph, memoryWeights(new Map()), options)],
  ["training", openTrainingSession],
])("on WASM timers that are due fire between any two runs of %s", async (_, open) => {
  const session = await open(doubling(), { device: "wasm" });
  await session.run({ x: f32([1], [1]) });
  for (let i = 0; i < 5; i++) expect(await firesBefore(session)).toBe(true);
  await session.release();
});

test("a turn comes in browsers too, which have no setImmediate", async () => {
  const own = globalThis.setImmediate;
  const order: string[] = [];
  try {
    Object.assign(globalThis, { setImmediate: undefined });
    const turn = turnEventLoop().then(() => order.push("turn"));
    await Promise.resolve().then(() => order.push("microtask"));
    await turn;
  } finally {
    Object.assign(globalThis, { setImmediate: own });
  }
  expect(order).toEqual(["microtask", "turn"]);
});
