import { mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { expect, test } from "vitest";
import { largestDifference } from "../../test/random-weights.ts";
import { writeSafetensors } from "../quantize/safetensors-file.ts";
import { f32ToBf16 } from "../quantize/to-bfloat16.ts";
import { counterRandom } from "../random/counter.ts";
import { Graph } from "../tensor/graph.ts";
import { openCheckpointAt } from "../train/open-checkpoint.ts";
import { f32, hostTensor } from "./host-tensor.ts";
import { memoryWeights } from "./memory-weights.ts";
import { SessionCache, type SessionPart } from "./session-cache.ts";
import { planSession, sessionMemory } from "./session-memory.ts";

const SIDE = 16;
const x = f32(new Float32Array(SIDE).fill(1), [1, SIDE]);
const matrix = (seed: number) => counterRandom(seed).fillNormal(new Float32Array(SIDE * SIDE));

function product(name: string): Graph {
  const graph = new Graph();
  graph.output("y", graph.input("x", [1, SIDE]).linear(graph.params.get(name, [SIDE, SIDE])));
  return graph;
}

const names = ["a", "b", "c", "d"] as const;
const weights = memoryWeights(new Map(names.map((name, i) => [name, f32(matrix(i), [SIDE, SIDE])])));
const { mostBytes: BYTES } = planSession(product("a"), weights, Number.POSITIVE_INFINITY);

/** A cache with room for `count` of the products, and a list of those that were opened. */
function cacheOf(count: number) {
  const opened: string[] = [];
  const part = (name: (typeof names)[number]): SessionPart => ({
    key: name,
    weights,
    trace() {
      opened.push(name);
      return product(name);
    },
  });
  const cache = new SessionCache(count * BYTES, { threads: 1 });
  const run = (name: (typeof names)[number], options = {}) => cache.run(part(name), { x }, options);
  return { cache, opened, run };
}

test("opens a part once, and closes the longest unused when another does not fit beside it", async () => {
  const { cache, opened, run } = cacheOf(2);
  for (const name of ["a", "b", "a", "c", "a", "b"] as const) await run(name); // c closes b, b closes c
  expect(opened).toEqual(["a", "b", "c", "b"]);
  await cache.close();
});

test("an extra part closes none, and is closed itself when its turn comes", async () => {
  const { cache, opened, run } = cacheOf(1);
  await run("a");
  await run("b", { isExtra: true });
  await run("a");
  await run("b", { isExtra: true });
  expect(opened).toEqual(["a", "b"]);
  await run("c");
  await run("a");
  expect(opened).toEqual(["a", "b", "c", "a"]);
  await cache.close();
});

test("what does not fit at all is opened alone", async () => {
  const { cache, opened, run } = cacheOf(0);
  for (const name of ["a", "a", "b"] as const) await run(name);
  expect(opened).toEqual(["a", "b"]);
  await cache.close();
});

test("runs that are asked for together take turns, and a failed one holds up no other", async () => {
  const { cache, run } = cacheOf(1);
  const broken = cache.run({ key: "e", weights, trace: () => product("e") }, { x });
  const results = await Promise.allSettled([run("a"), broken, run("b"), run("a")]);
  expect(results.map(({ status }) => status)).toEqual(["fulfilled", "rejected", "fulfilled", "fulfilled"]);
  const [first, , other, again] = results.map((result) => result.status === "fulfilled" && [...result.value.y!.data]);
  expect(again).toEqual(first);
  expect(other).not.toEqual(first);
  await cache.close();
});

test("is of no use after it was closed, which waits for the runs before", async () => {
  const { cache, run } = cacheOf(1);
  const running = run("a");
  await cache.close();
  await expect(running).resolves.toHaveProperty("y");
  await expect(run("a")).rejects.toThrow("disposed of");
});

test("narrow weights that do not fit as float32 are widened at each run, with the same numbers", async () => {
  const folder = await mkdtemp(join(tmpdir(), "kelix-narrow-"));
  const file = join(folder, "model.safetensors");
  const stored = names.map((name, i) => [name, hostTensor("bf16", f32ToBf16(matrix(i)), [SIDE, SIDE])] as const);
  await writeSafetensors(file, stored);
  const checkpoint = await openCheckpointAt(file);
  const trace = () => {
    const graph = new Graph();
    const chain = names.reduce(
      (y, name) => y.linear(graph.params.get(name, [SIDE, SIDE])).relu(),
      graph.input("x", [1, SIDE]),
    );
    graph.output("y", chain);
    return graph;
  };
  try {
    for (const [widening, bytes] of [
      ["load", 4],
      ["run", 2],
    ] as const) {
      expect(sessionMemory(trace(), checkpoint, widening).weightBytes).toBe(bytes * SIDE ** 2 * names.length);
      expect(planSession(trace(), checkpoint, widening === "load" ? 1e9 : 0).widening).toBe(widening);
    }
    const results = [];
    for (const limit of [1e9, 0]) {
      const cache = new SessionCache(limit, { threads: 1 });
      results.push((await cache.run({ key: "chain", weights: checkpoint, trace }, { x })).y!);
      await cache.close();
    }
    const largest = Math.max(...(results[0]!.data as Float32Array));
    expect(largest).toBeGreaterThan(1);
    expect(largestDifference(results[0]!, results[1]!)).toBeLessThan(1e-6 * largest);
  } finally {
    await checkpoint.close();
    await rm(folder, { recursive: true });
  }
});
