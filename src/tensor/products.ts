// Counts the floating-point operations of the matrix products and convolutions in a graph: two for each multiply-add.
// Elementwise work is left out, as is usual, so that rates compare with those of a plain matrix product.

import { type Sizes, sizesOf } from "./dims.ts";
import type { Graph, GraphNode } from "./graph.ts";
import type { OpAttributes } from "./ops.ts";
import type { Tensor } from "./tensor.ts";

/** Operations of one run of everything that the graph holds. `sizes` says how long its dynamic dimensions are. */
export function countFlop(graph: Graph, sizes: Sizes = {}): number {
  return graph.nodes.reduce((sum, node) => sum + nodeFlop(node, sizes), 0);
}

/** Operations of one node; 0 unless it is a product. */
export function nodeFlop({ op, attributes, inputs, outputs }: GraphNode, sizes: Sizes = {}): number {
  const shape = (tensor: Tensor) => sizesOf(tensor.shape, sizes);
  const elements = (shape: readonly number[]) => shape.reduce((a, b) => a * b, 1);
  const inner = (tensor: Tensor, axis: number) => shape(tensor).at(axis)!;
  if (op === "matmul") {
    const { transA } = attributes as OpAttributes["matmul"];
    return 2 * elements(shape(outputs[0]!)) * inner(inputs[0]!, transA ? -2 : -1);
  }
  if (op === "linear") return 2 * elements(shape(outputs[0]!)) * inner(inputs[0]!, -1);
  if (op === "softmaxMatmul") return 2 * elements(shape(outputs[0]!)) * inner(inputs[0]!, -1);
  if (op === "linearCrossEntropy") return 2 * elements(shape(outputs[1]!)) * inner(inputs[0]!, 1);
  if (op === "conv2d" || op === "convInput") {
    // Every element of the convolution's output meets one filter, in this direction and in the other.
    const seen = op === "conv2d" ? outputs[0]! : inputs[0]!;
    return 2 * elements(shape(seen)) * elements(shape(inputs[1]!).slice(1));
  }
  return 0;
}
