// Reverse-mode differentiation as a transform of the graph: walks the nodes backwards and adds, with the rules of
// gradient-rules.ts, the nodes that compute the gradients. Only what leads from `wrt` to the loss is differentiated.

import { broadcastShapes, formatShape, type Shape } from "../../tensor/dims.ts";
import type { GraphNode } from "../../tensor/graph.ts";
import type { OpName } from "../../tensor/ops.ts";
import type { Tensor } from "../../tensor/tensor.ts";
import { gradientRules, type Rule } from "./gradient-rules.ts";

/** d loss / d each of `wrt`; undefined where the loss does not depend on it. The loss has one element. */
export function gradients(loss: Tensor, wrt: readonly Tensor[]): (Tensor | undefined)[] {
  const { graph } = loss;
  if (loss.shape.some((dim) => dim !== 1))
    throw new Error(`gradients: the loss must have one element, got ${formatShape(loss.shape)}`);
  const nodes = [...graph.nodes];
  const isActive = new Set<Tensor>(wrt);
  for (const node of nodes) {
    if (node.op === "stopGradient" || !node.inputs.some((input) => isActive.has(input))) continue;
    if (gradientRules[node.op] === null) continue;
    for (const output of node.outputs) isActive.add(output);
  }
  const collected = new Map<Tensor, Tensor>();
  if (isActive.has(loss)) collected.set(loss, graph.constant([1], []).expand(loss.shape));
  for (const node of nodes.reverse()) {
    const incoming = node.outputs.map((output) => collected.get(output));
    if (!incoming.some(Boolean) || !node.inputs.some((input) => isActive.has(input))) continue;
    const parts = applyRule(node, incoming);
    node.inputs.forEach((input, i) => {
      const part = isActive.has(input) ? parts[i] : undefined;
      if (!part) return;
      const gradient = sumTo(part(), input.shape);
      const before = collected.get(input);
      collected.set(input, before ? before.add(gradient) : gradient);
    });
  }
  return wrt.map((tensor) => collected.get(tensor));
}

function applyRule<K extends OpName>(node: GraphNode<K>, incoming: (Tensor | undefined)[]): ReturnType<Rule<K>> {
  const rule = gradientRules[node.op] as Rule<K> | null;
  if (!rule) throw new Error(`${node.op} has no gradient`);
  return rule(node, incoming);
}

/** Undoes broadcasting: sums the axes along which a tensor of `shape` was repeated. */
export function sumTo(x: Tensor, shape: Shape): Tensor {
  if (formatShape(x.shape) === formatShape(shape)) return x;
  const merged = broadcastShapes(shape, x.shape);
  if (!merged || merged.length !== x.rank)
    throw new Error(`a gradient ${formatShape(x.shape)} for ${formatShape(shape)}`);
  const lead = x.rank - shape.length;
  const axes = x.shape.flatMap((dim, i) => (i < lead || (shape[i - lead] === 1 && dim !== 1) ? [i] : []));
  return x.sum(axes, true).reshape(shape);
}
