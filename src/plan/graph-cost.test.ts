import { expect, test } from "vitest";
import { Graph } from "../tensor/graph.ts";
import { graphCost } from "./graph-cost.ts";

/** x [T, 8] through two layers of width 16, and a row of a table of 32 added. */
function example(): Graph {
  const graph = new Graph();
  const p = graph.params;
  const x = graph.input("x", ["T", 8]);
  const hidden = x.linear(p.get("in", [16, 8])).silu();
  const out = hidden.linear(p.get("out", [64, 16]).slice(0, 0, 32).stopGradient());
  const rows = p.get("table", [1000, 32]).gather(graph.input("ids", ["T"], "i32"));
  graph.output("y", out.add(rows));
  graph.params.get("unused", [5]);
  return graph;
}

test("counts operations for the sizes that are given", () => {
  expect(graphCost(example(), { T: 3 }).flop).toBe(2 * 3 * (8 * 16 + 16 * 32));
  expect(graphCost(example(), { T: 6 }).flop).toBe(2 * 6 * (8 * 16 + 16 * 32));
});

test("tells weights that products read, of sliced ones the rows left, from tables that are looked up", () => {
  const { weights } = graphCost(example(), { T: 3 });
  expect(weights.map(({ path, elements, use, flop }) => ({ path, elements, use, flop }))).toEqual([
    { path: "in", elements: 16 * 8, use: "product", flop: 2 * 3 * 16 * 8 },
    { path: "out", elements: 32 * 16, use: "product", flop: 2 * 3 * 32 * 16 },
    { path: "table", elements: 1000 * 32, use: "table", flop: 0 },
  ]);
});

test("leaves out what is computed once, from weights alone", () => {
  const graph = new Graph();
  const { params } = graph;
  const book = params.get("entries", [50, 8]).linear(params.get("proj", [4, 8]));
  graph.output("y", graph.input("x", [3, 4]).linear(book));
  const { flop, weights } = graphCost(graph);
  expect(flop).toBe(2 * 3 * 50 * 4);
  expect(weights.map(({ path, use }) => [path, use])).toEqual([
    ["entries", "other"],
    ["proj", "product"],
  ]);
});

test("holds no more at one time than what is still needed", () => {
  const graph = new Graph();
  const x = graph.input("x", [1, 100]);
  const a = x.linear(graph.params.get("a", [1000, 100])); // 4000 bytes
  const b = a.silu().reshape([10, 100]); // in place, then a view
  const c = b.linear(graph.params.get("c", [200, 100])); // 8000 bytes beside them
  graph.output("y", c.linear(graph.params.get("y", [1, 200]))); // 40 bytes beside c alone
  expect(graphCost(graph).peakBytes).toBe(4000 + 8000);
  expect(graphCost(graph).inputBytes).toBe(400);
});
