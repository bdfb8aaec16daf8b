// Finds the norms of a graph that can add the residual before them by themselves: one operator where there would be two, and
// one pass over the values less. Model code says x.add(y) and rmsNorm; this is only a form of writing it (lower.ts).

import { formatShape } from "../tensor/dims.ts";
import type { GraphNode } from "../tensor/graph.ts";
import type { Tensor } from "../tensor/tensor.ts";

/** For each norm that can do so the sum that it makes. `nodes` are all that are computed, in order. */
export function residualNorms(nodes: readonly GraphNode[]): Map<GraphNode, GraphNode> {
  const firstUse = new Map<Tensor, number>();
  nodes.forEach(({ inputs }, at) => {
    for (const input of inputs) if (!firstUse.has(input)) firstUse.set(input, at);
  });
  const found = new Map<GraphNode, GraphNode>();
  nodes.forEach((norm, at) => {
    if (norm.op !== "rmsNorm") return;
    const [sum] = norm.inputs as [Tensor];
    // The operator takes rows or batches of rows, gives no reciprocal root mean square, and comes where the norm stands.
    const fits = sum.node.op === "add" && (sum.rank === 2 || sum.rank === 3) && !firstUse.has(norm.outputs[1]!);
    const isPlainSum = sum.node.inputs.every(({ shape }) => formatShape(shape) === formatShape(sum.shape));
    if (fits && isPlainSum && firstUse.get(sum) === at) found.set(norm, sum.node);
  });
  return found;
}
