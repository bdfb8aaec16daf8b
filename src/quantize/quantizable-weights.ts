// Which matrices of a model its graphs can read at lower precision: linear maps, 1 x 1 convolutions among them, and tables of
// which rows are looked up.
// Lowering decides how a weight enters the ONNX graph, so lowering is asked: each matrix is offered to it at 4 bits.

import type { OnnxModel, OnnxNode } from "../onnx/encode.ts";
import { lower } from "../onnx/lower.ts";
import type { Weight } from "../onnx/weight.ts";
import type { Graph } from "../tensor/graph.ts";
import type { Tensor } from "../tensor/tensor.ts";

/** Paths of the parameters [out, in] or [out, in, 1, 1] that every one of the graphs reads so, whole or by ranges of rows, and never otherwise. */
export function quantizableWeights(graphs: readonly Graph[]): Set<string> {
  const quantizable = new Set<string>();
  const others = new Set<string>();
  for (const graph of graphs) {
    const model = lower(leaves(graph), graph, (path) => offer(path, graph.parameters.get(path)!.shape));
    // An offered matrix says its path as its location; a range of its rows keeps it.
    const paths = new Map(
      model.initializers.map((tensor) => [tensor.name, "location" in tensor ? tensor.location : ""]),
    );
    for (const node of model.nodes) {
      for (const input of node.inputs) {
        const path = paths.get(input);
        if (path) (readsBlocks(node, model) ? quantizable : others).add(path);
      }
    }
  }
  return new Set([...quantizable].filter((path) => !others.has(path)));
}

/** Whether a node computes with quantised blocks. A gather of rows that are known beforehand only widens them. */
function readsBlocks({ op, inputs }: OnnxNode, { initializers }: OnnxModel): boolean {
  return (
    op === "MatMulNBits" || (op === "GatherBlockQuantized" && !initializers.some(({ name }) => name === inputs[1]))
  );
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
  const [out, width, ...kernel] = shape;
  if (width === undefined || kernel.some((n) => n !== 1)) return { ...at("", "f32"), name: path };
  const values = { ...at(path, "u8"), shape: [out!, 1, width] };
  return { name: path, shape: [out!, width], bits: 4, block: width, values, scales: at("", "f32") };
}

/** Whatever no other node reads; a parameter that is declared and then left alone is no result. */
function leaves(graph: Graph): Map<string, Tensor> {
  const read = new Set(graph.nodes.flatMap((node) => node.inputs.map((input) => input.node)));
  const last = graph.nodes.filter((node) => node.op !== "param" && !read.has(node)).flatMap((node) => node.outputs);
  return new Map(last.map((tensor, i) => [`leaf ${i}`, tensor]));
}
