// What tracing leaves out: views of views, and exchanges of axes that move nothing.

import { expect, test } from "vitest";
import { Graph } from "./graph.ts";
import type { Tensor } from "./tensor.ts";

/** The operations between the first tensor and the second. */
function path(from: Tensor, to: Tensor): string[] {
  const ops: string[] = [];
  for (let at = to; at !== from; at = at.node.inputs[0]!) ops.unshift(at.node.op);
  return ops;
}

test("a reshape to the same shape is no operation, and one of several is left", () => {
  const x = new Graph().input("x", ["R", 12]);
  expect(x.reshape([-1, 12])).toBe(x);
  const y = x.reshape(["R", 3, 4]).reshape([-1, 4]).reshape(["R", 1, 12]);
  expect(path(x, y)).toEqual(["reshape"]);
  expect(y.shape).toEqual(["R", 1, 12]);
  expect(y.reshape(["R", 12])).toBe(x);
});

test("reshapes stay apart where one of them would move two dynamic sizes", () => {
  const x = new Graph().input("x", ["B", "S", 8]);
  const y = x.reshape(["B", 1, "S", 8]).reshape([1, "B", "S", 8]);
  expect(path(x, y)).toEqual(["reshape", "reshape"]);
});

test("a transpose is a view where the axes longer than 1 keep their order", () => {
  const x = new Graph().input("x", ["R", 1, 4, 32]);
  const y = x.transpose([0, 2, 1, 3]);
  expect(path(x, y)).toEqual(["reshape"]);
  expect(y.shape).toEqual(["R", 4, 1, 32]);
  expect(path(x, x.transpose([0, 1, 3, 2]))).toEqual(["transpose"]);
  const z = new Graph().input("z", [1, "B", "S"]);
  expect(path(z, z.transpose([1, 0, 2]))).toEqual(["reshape"]);
  expect(path(z, z.transpose([1, 2, 0]))).toEqual(["transpose"]);
});
