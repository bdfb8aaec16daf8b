import { expect, test } from "vitest";
import { Graph } from "../../tensor/graph.ts";
import { countFlop } from "../../tensor/products.ts";
import { gradients } from "./gradients.ts";

test("a linear layer costs 2 MKN forward and twice that backward", () => {
  const graph = new Graph();
  const [x, w] = [graph.input("x", [5, 3]), graph.input("w", [4, 3])];
  const y = x.linear(w);
  expect(countFlop(graph)).toBe(2 * 5 * 3 * 4);
  gradients(y.sum([0, 1]), [x, w]);
  expect(countFlop(graph)).toBe(3 * 2 * 5 * 3 * 4);
});

test("a convolution costs two operations for each tap of its filters at each pixel", () => {
  const graph = new Graph();
  graph.input("x", [2, 3, 8, 8]).conv2d(graph.input("w", [6, 3, 3, 3]), null, { padding: 1 });
  expect(countFlop(graph)).toBe(2 * (2 * 6 * 8 * 8) * 27);
});

test("dynamic sizes cost what their lengths cost", () => {
  const graph = new Graph();
  const x = graph.input("x", ["C+T", 3]);
  x.linear(graph.input("w", [4, 3]));
  expect(countFlop(graph, { C: 10, T: 2 })).toBe(2 * 12 * 3 * 4);
  expect(() => countFlop(graph, { C: 10 })).toThrow("[C+T,4] has the size T, whose length is not given");
});
