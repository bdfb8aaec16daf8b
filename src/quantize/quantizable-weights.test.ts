import { expect, test } from "vitest";
import { Graph } from "../tensor/graph.ts";
import { quantizableWeights } from "./quantizable-weights.ts";

test("finds the matrices that are linear maps or tables in every graph, whole or by rows", () => {
  const [one, two] = [new Graph(), new Graph()];
  const matrix = (graph: Graph, name: string) => graph.params.get(name, [8, 4]);
  const x = one.input("x", ["T", 4]);
  const ids = one.input("ids", [3], "i32");
  x.linear(matrix(one, "linear"));
  x.linear(matrix(one, "with bias"), one.params.get("bias", [8]));
  x.linear(matrix(one, "by rows").slice(0, 2, 5)).add(x.linear(matrix(one, "by rows").slice(0, 5, 8)));
  x.linear(matrix(one, "linear and table"));
  matrix(one, "linear and table").gather(ids);
  x.linear(matrix(one, "elsewhere added").stopGradient());
  matrix(one, "table").gather(ids);
  matrix(one, "rows known beforehand").gather(one.constant(Int32Array.of(1, 2), [2]));
  matrix(one, "added").add(1);
  matrix(one, "columns").slice(1, 0, 2);
  matrix(one, "on the left").matmul(one.input("y", [4, 4]));
  matrix(two, "elsewhere added").add(1);
  matrix(two, "table"); // declared, and not read by anything
  const image = one.input("image", [1, 4, 5, 5]);
  image.conv2d(one.params.get("1 x 1", [8, 4, 1, 1]), one.params.get("bias", [8]));
  image.conv2d(one.params.get("1 x 1 of groups", [8, 2, 1, 1]), null, { groups: 2 });
  image.conv2d(one.params.get("1 x 1 with steps", [8, 4, 1, 1]), null, { stride: 2 });
  image.conv2d(one.params.get("3 x 3", [8, 4, 3, 3]), null, { padding: 1 });
  two.input("x", ["T", 4]).linear(matrix(two, "linear"));
  const found = [...quantizableWeights([one, two]).keys()].sort();
  expect(found).toEqual(["1 x 1", "by rows", "linear", "linear and table", "table", "with bias"]);
});
