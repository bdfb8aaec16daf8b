// Probes how quiet the machine is: the best rate of a plain product of 512 x 512 matrices, before and after a benchmark.
// A rate far below the usual one means that other work was running, and the measured times mean little.

import { counterRandom } from "../random/counter.ts";
import { f32 } from "../runtime/host-tensor.ts";
import { openSession, type SessionOptions } from "../runtime/session.ts";
import { Graph } from "../tensor/graph.ts";

const SIDE = 512;
const RUNS = 12;

/** GFLOP/s */
export async function probeProducts({ threads }: Pick<SessionOptions, "threads">): Promise<number> {
  const graph = new Graph();
  const shape = [SIDE, SIDE];
  const y = graph.input("a", shape).matmul(graph.input("b", shape));
  graph.output("corner", y.slice(0, 0, 1)); // one row, because fetched outputs are copied
  const session = await openSession(graph, { find: () => undefined }, threads === undefined ? {} : { threads });
  const random = (stream: string) => f32(counterRandom(1, stream).fillNormal(new Float32Array(SIDE * SIDE)), shape);
  const feeds = { a: random("a"), b: random("b") };
  let best = Number.POSITIVE_INFINITY;
  for (let i = 0; i < RUNS; i++) {
    const start = performance.now();
    await session.run(feeds);
    best = Math.min(best, performance.now() - start);
  }
  await session.release();
  return (2 * SIDE ** 3) / best / 1e6;
}
