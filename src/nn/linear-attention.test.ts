import { expect, test } from "vitest";
import { counterRandom } from "../random/counter.ts";
import { f32 } from "../runtime/host-tensor.ts";
import { openSession } from "../runtime/session.ts";
import { Graph } from "../tensor/graph.ts";
import { linearAttention, quadraticReluAttention } from "./linear-attention.ts";

test("the linear form equals the one through the whole matrix, and its sums written out", async () => {
  const [H, E, n] = [2, 4, 9];
  const graph = new Graph();
  const [q, k, v] = ["q", "k", "v"].map((name) => graph.input(name, [1, H, E, n]));
  graph.output("linear", linearAttention(q!, k!, v!, 1e-8));
  graph.output("quadratic", quadraticReluAttention(q!, k!, v!, 1e-8));
  const session = await openSession(graph, { find: () => undefined });
  const random = (stream: string) => counterRandom(1, stream).fillNormal(new Float32Array(H * E * n));
  const data = { q: random("q"), k: random("k"), v: random("v") };
  const feeds = Object.fromEntries(Object.entries(data).map(([name, values]) => [name, f32(values, [1, H, E, n])]));
  const { linear, quadratic } = await session.run(feeds);
  await session.release();

  const at = (values: Float32Array, h: number, e: number, i: number) => values[(h * E + e) * n + i]!;
  const relu = (x: number) => Math.max(0, x);
  for (let h = 0; h < H; h++) {
    for (let i = 0; i < n; i++) {
      const similarity = Array.from({ length: n }, (_, j) => {
        let sum = 0;
        for (let e = 0; e < E; e++) sum += relu(at(data.q, h, e, i)) * relu(at(data.k, h, e, j));
        return sum;
      });
      const total = similarity.reduce((a, b) => a + b, 1e-8);
      for (let e = 0; e < E; e++) {
        const expected = similarity.reduce((sum, s, j) => sum + (s / total) * at(data.v, h, e, j), 0);
        expect(at(linear!.data as Float32Array, h, e, i)).toBeCloseTo(expected, 5);
        expect(at(quadratic!.data as Float32Array, h, e, i)).toBeCloseTo(expected, 5);
      }
    }
  }
});
