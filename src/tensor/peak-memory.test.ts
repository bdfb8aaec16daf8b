import { expect, test } from "vitest";
import { Graph } from "./graph.ts";
import { peakBytes, tensorBytes } from "./peak-memory.ts";
import type { Tensor } from "./tensor.ts";

/** Bytes of a graph of one input [R, 100]. */
function peakOf(f: (x: Tensor) => Tensor, rows: number | string = 10): number {
  const graph = new Graph();
  graph.output("y", f(graph.input("x", [rows, 100])));
  return peakBytes(graph, { R: 10 });
}
/** One float32 tensor [10, 100]. */
const ONE = 4000;

test("a tensor is freed after its last reader", () => {
  // Of a chain of products two neighbours are alive at a time; the input is the caller's.
  const widths = [20, 300, 30, 40];
  const chain = (x: Tensor) =>
    widths.reduce((y, width) => y.linear(y.graph.params.get(`w${width}`, [width, y.size(1)])), x);
  expect(peakOf(chain)).toBe((300 + 30) * 40);
  expect(peakOf(chain, "R")).toBe((300 + 30) * 40);
});

test("elementwise results take the place of what they are computed from, views take nothing", () => {
  expect(peakOf((x) => x.exp().relu().reshape([100, 10]).neg())).toBe(ONE + ONE); // neg has another shape than relu
  expect(peakOf((x) => x.exp().relu().neg())).toBe(ONE);
  expect(
    peakOf((x) => {
      const y = x.exp();
      return y.relu().add(y);
    }),
  ).toBe(2 * ONE);
});

test("memory that a later tensor of the same shape takes over is held in between", () => {
  const wide = (x: Tensor) => x.slice(1, 0, 1).expand([10, 500]).sum([1], true); // 5 tensors' worth for a moment
  const once = peakOf((x) => wide(x.exp()));
  const twice = (x: Tensor) => {
    const y = wide(x.exp()).expand([10, 300]).mean([1], true); // while this is computed the 500 are kept for
    return wide(y.expand([10, 100]));
  };
  expect(once).toBeLessThan(6.1 * ONE);
  expect(peakOf(twice)).toBeGreaterThan(5 * ONE + 3 * ONE);
});

test("weights, and what hangs on them alone, are not counted", () => {
  expect(peakOf((x) => x.linear(x.graph.params.get("w", [1000, 100]).mul(2).slice(0, 0, 1)))).toBe(40);
});

test("elements count by their type", () => {
  const graph = new Graph();
  const x = graph.input("x", ["R", 4]);
  expect(tensorBytes(x, { R: 3 })).toBe(48);
  expect(tensorBytes(x.argmax(), { R: 3 })).toBe(12);
});
