// Finds the matrices that a model's graphs can read at lower precision: linear maps, including 1 x 1 convolutions, and lookup
// tables.
// Lowering decides how a weight enters the ONNX graph, so each matrix is offered to it at 4 bits.

import type { OnnxModel, OnnxNode } from "../onnx/encode.ts";
import { lower } from "../onnx/lower.ts";
import type { Weight } from "../onnx/weight.ts";
import type { Graph } from "../tensor/graph.ts";
import type { Tensor } from "../tensor/tensor.ts";

/**
 * The parameters [out, in] or [out, in, 1, 1] that all graphs read only in this way, whole or by ranges of rows:
 * their shapes by path.
 */
export function quantizableWeights(graphs: readonly Graph[]): Map<string, readonly number[]> {
  const quantizable = new Map<string, readonly number[]>();
  const others = new Set<string>();
  for (const graph of graphs) {
    const model = lower(leaves(graph), graph, (path) => offer(path, graph.parameters.get(path)!.shape));
    // An offered matrix has its path as its location; a range of its rows keeps it.
    const paths = new Map(
      model.initializers.map((tensor) => [tensor.name, "location" in tensor ? tensor.location : ""]),
    );
    for (const node of model.nodes) {
      for (const input of node.inputs) {
        const path = paths.get(input);
        if (!path) continue;
        if (readsBlocks(node, model)) quantizable.set(path, graph.parameters.get(path)!.shape);
        else others.add(path);
      }
    }
  }
  return new Map([...quantizable].filter(([path]) => !others.has(path)));
}

/** Whether a node computes with quantised blocks. A gather of constant rows only widens them. */
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

/** Computed values that no other node reads. */
function leaves(graph: Graph): Map<string, Tensor> {
  const read = new Set(graph.nodes.flatMap((node) => node.inputs.map((input) => input.node)));
  const last = graph.nodes.filter((node) => !read.has(node) && node.op !== "param").flatMap((node) => node.outputs);
  return new Map(last.map((tensor, i) => [`leaf ${i}`, tensor]));
}
