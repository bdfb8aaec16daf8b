import { expect, test } from "vitest";
import { largestDifference, randomTensor } from "../../test/random-weights.ts";
import { openSession } from "../runtime/session.ts";
import { Graph } from "../tensor/graph.ts";
import { concat } from "../tensor/tensor.ts";
import { attention } from "./attention.ts";

test.each([
  { device: "cpu", C: 7, S: 1 },
  { device: "cpu", C: 5, S: 4 },
  { device: "cpu", C: 1, S: 3 },
  { device: "wasm", C: 7, S: 2 },
] as const)("attends to a cache where it lies as to cache and new rows joined: %o", async ({ device, C, S }) => {
  const [K, G, E] = [2, 3, 4]; // G queries share a KV head, stacked as rows
  const graph = new Graph();
  const q = graph.input("q", [1, K, "R", E]);
  const [keys, values] = [graph.input("k", [1, K, "S", E]), graph.input("v", [1, K, "S", E])];
  const past = { keys: graph.input("past.k", [1, K, "C", E]), values: graph.input("past.v", [1, K, "C", E]) };
  const options = { scale: 0.5, mask: graph.input("mask", ["R", "C+S"]) };
  graph.output("apart", attention(q, keys, values, { ...options, past }));
  graph.output("joined", attention(q, concat([past.keys, keys], 2), concat([past.values, values], 2), options));
  const session = await openSession(graph, { find: () => undefined }, { device, threads: 1 });
  const { apart, joined } = await session.run({
    q: randomTensor([1, K, G * S, E], 1),
    k: randomTensor([1, K, S, E], 2),
    v: randomTensor([1, K, S, E], 3),
    "past.k": randomTensor([1, K, C, E], 4),
    "past.v": randomTensor([1, K, C, E], 5),
    mask: randomTensor([G * S, C + S], 6),
  });
  await session.release();
  expect(largestDifference(apart!, joined!)).toBeLessThan(1e-5);
});
