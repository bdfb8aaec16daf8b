// Counts the floating-point operations of the matrix products and convolutions in a graph: two for each multiply-add.
// Elementwise work is left out, as is usual, so that rates compare with those of a plain matrix product.

import { staticShape } from "../tensor/dims.ts";
import type { Graph, GraphNode } from "../tensor/graph.ts";
import type { OpAttributes } from "../tensor/ops.ts";

/** Operations of one run of everything that the graph holds. All shapes must be fixed. */
export function countFlop(graph: Graph): number {
  return graph.nodes.reduce((sum, node) => sum + nodeFlop(node), 0);
}

function nodeFlop({ op, attributes, inputs, outputs }: GraphNode): number {
  const elements = (shape: readonly number[]) => shape.reduce((a, b) => a * b, 1);
  if (op === "matmul") {
    const { transA } = attributes as OpAttributes["matmul"];
    return 2 * elements(staticShape(outputs[0]!.shape)) * inputs[0]!.size(transA ? -2 : -1);
  }
  if (op === "linear") return 2 * elements(staticShape(outputs[0]!.shape)) * inputs[0]!.size(1);
  if (op === "softmaxMatmul") return 2 * elements(staticShape(outputs[0]!.shape)) * inputs[0]!.size(-1);
  if (op === "linearCrossEntropy") return 2 * elements(staticShape(outputs[1]!.shape)) * inputs[0]!.size(1);
  if (op === "conv2d" || op === "convInput") {
    // Every element of the convolution's output meets one filter, in this direction and in the other.
    const seen = op === "conv2d" ? outputs[0]! : inputs[0]!;
    return 2 * elements(staticShape(seen.shape)) * elements(staticShape(inputs[1]!.shape).slice(1));
  }
  return 0;
}
