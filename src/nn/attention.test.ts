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
  { device: "wasm", C: 7, S: 1 },
  { device: "wasm", C: 7, S: 2 },
] as const)("attends to a cache where it lies as to cache and new rows joined: %o", async ({ device, C, S }) => {
  const [K, G, E] = [2, 3, 4]; // G queries share a KV head: an axis of their own, or stacked as rows
  const graph = new Graph();
  const q = graph.input("q", [1, K, G, "S", E]);
  const row = (name: string, size: string) => graph.input(name, [1, K, 1, size, E]);
  const [keys, values] = [row("k", "S"), row("v", "S")];
  const past = { keys: row("past.k", "C"), values: row("past.v", "C") };
  const mask = graph.input("mask", ["S", "C+S"]);
  graph.output("apart", attention(q, keys, values, { scale: 0.5, mask, past }));
  const [allKeys, allValues] = [concat([past.keys, keys], 3), concat([past.values, values], 3)];
  const stacked = { scale: 0.5, mask: concat([mask, mask, mask], 0) };
  const joined = attention(q.reshape([1, K, 1, `${G}*S`, E]), allKeys, allValues, stacked);
  graph.output("joined", joined.reshape([1, K, G, "S", E]));
  const session = await openSession(graph, { find: () => undefined }, { device, threads: 1 });
  const results = await session.run({
    q: randomTensor([1, K, G, S, E], 1),
    k: randomTensor([1, K, 1, S, E], 2),
    v: randomTensor([1, K, 1, S, E], 3),
    "past.k": randomTensor([1, K, 1, C, E], 4),
    "past.v": randomTensor([1, K, 1, C, E], 5),
    mask: randomTensor([S, C + S], 6),
  });
  await session.release();
  expect(largestDifference(results.apart!, results.joined!)).toBeLessThan(1e-5);
});
