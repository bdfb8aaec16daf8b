// Which matrices of a model are linear maps and nothing else, so that they can be multiplied by at lower precision. Lowering
// decides how a weight enters the ONNX graph, so lowering is asked: each matrix is offered to it at 4 bits.

import { lower } from "../onnx/lower.ts";
import type { Weight } from "../onnx/weight.ts";
import type { Graph } from "../tensor/graph.ts";
import type { Tensor } from "../tensor/tensor.ts";

/** Paths of the parameters [out, in] that all of the graphs read as x W^T alone, whole or by ranges of rows. */
export function linearWeights(graphs: readonly Graph[]): Set<string> {
  const linear = new Set<string>();
  const others = new Set<string>();
  for (const graph of graphs) {
    const model = lower(leaves(graph), graph, (path) => offer(path, graph.parameters.get(path)!.shape));
    // An offered weight says its path as its location; a range of its rows keeps it.
    const paths = new Map(
      model.initializers.map((tensor) => [tensor.name, "location" in tensor ? tensor.location : ""]),
    );
    for (const { op, inputs } of model.nodes) {
      for (const input of inputs) {
        const path = paths.get(input);
        if (path) (op === "MatMulNBits" ? linear : others).add(path);
      }
    }
  }
  return new Set([...linear].filter((path) => !others.has(path)));
}

function offer(path: string, shape: readonly number[]): Weight {
  const at = (location: string, dtype: "u8" | "f32") => ({
    name: `${dtype} ${path}`,
    dtype,
    shape,
    location,
    byteOffset: 0,
    byteLength: 0,
  });
  const [out, width, ...more] = shape;
  if (width === undefined || more.length > 0) return { ...at("", "f32"), name: path };
  const form = {
    bits: 4,
    block: width,
    values: { ...at(path, "u8"), shape: [out!, 1, width] },
    scales: at("", "f32"),
  } as const;
  return { name: path, shape: [out!, width], ...form };
}

/** Whatever no other node reads. */
function leaves(graph: Graph): Map<string, Tensor> {
  const read = new Set(graph.nodes.flatMap((node) => node.inputs.map((input) => input.node)));
  const last = graph.nodes.filter((node) => !read.has(node)).flatMap((node) => node.outputs);
  return new Map(last.map((tensor, i) => [`leaf ${i}`, tensor]));
}
