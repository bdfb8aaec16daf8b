// How fast the machine reads memory: the best rate of adding up an array that is larger than any cache, on the threads that the
// benchmark uses. Decoding reads every weight once for each token, so this is its limit.

import { f32 } from "../../src/runtime/host-tensor.ts";
import { openSession, type SessionOptions } from "../../src/runtime/session.ts";
import { Graph } from "../../src/tensor/graph.ts";

const ROWS = 4096;
const RUNS = 8;

/** GB/s, by reading `bytes` bytes. */
export async function probeReading(
  { threads }: Pick<SessionOptions, "threads">,
  bytes: number = 2 ** 30,
): Promise<number> {
  const width = bytes / ROWS / Float32Array.BYTES_PER_ELEMENT;
  const graph = new Graph();
  graph.output("sums", graph.input("x", [ROWS, width]).sum([1]));
  const session = await openSession(graph, { find: () => undefined }, threads === undefined ? {} : { threads });
  const feeds = { x: f32(new Float32Array(ROWS * width).fill(1), [ROWS, width]) };
  let best = Number.POSITIVE_INFINITY;
  for (let i = 0; i < RUNS; i++) {
    const start = performance.now();
    await session.run(feeds);
    best = Math.min(best, performance.now() - start);
  }
  await session.release();
  return bytes / best / 1e6;
}
