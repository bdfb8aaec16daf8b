// What one run of a traced graph costs, read off its nodes: operations, weights read, bytes fed, and the memory of what is
// between. Nothing is computed, so the cost of a model of any size is known in milliseconds from its config.

import { type Sizes, sizesOf } from "../tensor/dims.ts";
import type { Graph, GraphNode } from "../tensor/graph.ts";
import type { OpName } from "../tensor/ops.ts";
import { nodeFlop } from "../tensor/products.ts";
import type { Tensor } from "../tensor/tensor.ts";

/** Rows of a weight as some node reads them. */
export interface WeightUse {
  readonly path: string;
  /** Elements that are kept for it: of the rows that a slice leaves. */
  readonly elements: number;
  /** `product`: read whole at every run. `table`: rows are looked up. `other`: widened to float32 whatever it is stored as. */
  readonly use: "product" | "table" | "other";
}

export interface GraphCost {
  /** Floating-point operations of products and convolutions. */
  readonly flop: number;
  readonly weights: readonly WeightUse[];
  /** Bytes of all inputs: what is fed is read once. */
  readonly inputBytes: number;
  /** The most bytes that intermediate results have at one time, when each is dropped after its last use. */
  readonly peakBytes: number;
}

/** The cost of computing a graph's outputs once, its dynamic sizes being as `sizes` says. */
export function graphCost(graph: Graph, sizes: Sizes = {}): GraphCost {
  const needed = neededNodes(graph);
  const isFixed = fixedTensors(needed);
  // What hangs on weights alone is computed when a session is opened, not at each run.
  const running = needed.filter(({ outputs }) => !isFixed.has(outputs[0]!));
  return {
    flop: running.reduce((sum, node) => sum + nodeFlop(node, sizes), 0),
    weights: weightUses(needed),
    inputBytes: running.reduce((sum, node) => sum + (node.op === "input" ? bytesOf(node.outputs[0]!, sizes) : 0), 0),
    peakBytes: peakBytes(running, new Set(graph.outputs.values()), sizes),
  };
}

/** Nodes that the outputs hang on, in their order. */
function neededNodes(graph: Graph): GraphNode[] {
  const found = new Set<GraphNode>();
  const open = [...graph.outputs.values()].map(({ node }) => node);
  for (let node = open.pop(); node; node = open.pop()) {
    if (found.has(node)) continue;
    found.add(node);
    open.push(...node.inputs.map((input) => input.node));
  }
  return graph.nodes.filter((node) => found.has(node));
}

/** Tensors that are the same at every run: weights, constants and what is made of them. */
function fixedTensors(nodes: readonly GraphNode[]): Set<Tensor> {
  const fixed = new Set<Tensor>();
  for (const { op, inputs, outputs } of nodes) {
    if (op === "input" || inputs.some((input) => !fixed.has(input))) continue;
    for (const output of outputs) fixed.add(output);
  }
  return fixed;
}

/** Who reads which rows of which weight; the same rows read the same way count once. */
function weightUses(nodes: readonly GraphNode[]): WeightUse[] {
  /** Parameters, and ranges of their rows: those are weights too, where they lie. */
  const weights = new Map<Tensor, { readonly path: string; readonly key: string }>();
  const uses = new Map<string, WeightUse>();
  for (const node of nodes) {
    const { op, inputs, outputs } = node;
    const [first] = inputs;
    if (op === "param") {
      const { path } = (node as GraphNode<"param">).attributes;
      weights.set(outputs[0]!, { path, key: path });
      continue;
    }
    const source = first && weights.get(first);
    if (source && op === "stopGradient") {
      weights.set(outputs[0]!, source);
      continue;
    }
    if (source && isRowSlice(node)) {
      const [range] = node.attributes.ranges;
      weights.set(outputs[0]!, { ...source, key: `${source.key}[${range!.start}:${range!.end}]` });
      continue;
    }
    for (const [i, input] of inputs.entries()) {
      const weight = weights.get(input);
      if (!weight) continue;
      const use = i === 1 && productOps.has(op) ? "product" : i === 0 && op === "gather" ? "table" : "other";
      uses.set(`${use} ${weight.key}`, { path: weight.path, elements: count(sizesOf(input.shape, {})), use });
    }
  }
  return [...uses.values()];
}

const productOps: ReadonlySet<OpName> = new Set(["linear", "matmul", "conv2d"] as const);

function isRowSlice(node: GraphNode): node is GraphNode<"slice"> {
  if (node.op !== "slice") return false;
  const [range, ...others] = (node as GraphNode<"slice">).attributes.ranges;
  return others.length === 0 && range!.axis === 0 && range!.step === 1;
}

/** Operations that ONNX Runtime lets write over an operand which nobody else needs. */
const inPlace: ReadonlySet<OpName> = new Set([
  ...(["add", "sub", "mul", "div", "neg", "exp", "log", "sqrt", "abs", "sin", "cos", "sigmoid", "tanh"] as const),
  ...(["erf", "relu", "silu", "gelu", "geluTanh", "floor", "softmax"] as const),
]);

/** Results that are their operand under another shape. */
const views: ReadonlySet<OpName> = new Set(["reshape", "stopGradient"] as const);

function peakBytes(nodes: readonly GraphNode[], kept: ReadonlySet<Tensor>, sizes: Sizes): number {
  /** The tensor whose memory a tensor is a view of. */
  const owners = new Map<Tensor, Tensor>();
  const ownerOf = (tensor: Tensor) => owners.get(tensor) ?? tensor;
  for (const { op, inputs, outputs } of nodes) if (views.has(op)) owners.set(outputs[0]!, ownerOf(inputs[0]!));
  const lastUse = new Map<Tensor, number>();
  for (const [i, { inputs }] of nodes.entries()) for (const input of inputs) lastUse.set(ownerOf(input), i);
  for (const tensor of kept) lastUse.set(ownerOf(tensor), nodes.length);
  const held = new Map<Tensor, number>();
  let bytes = 0;
  let peak = 0;
  for (const [i, { op, inputs, outputs }] of nodes.entries()) {
    if (op === "input" || views.has(op)) continue;
    const drop = () => {
      for (const owner of new Set(inputs.map(ownerOf))) {
        if (lastUse.get(owner) !== i) continue;
        bytes -= held.get(owner) ?? 0;
        held.delete(owner);
      }
    };
    if (inPlace.has(op)) drop();
    for (const output of outputs) {
      held.set(output, bytesOf(output, sizes));
      bytes += bytesOf(output, sizes);
    }
    peak = Math.max(peak, bytes);
    drop();
    for (const output of outputs) {
      if (lastUse.has(output)) continue;
      bytes -= held.get(output)!;
      held.delete(output);
    }
  }
  return peak;
}

function bytesOf(tensor: Tensor, sizes: Sizes): number {
  return count(sizesOf(tensor.shape, sizes)) * (tensor.dtype === "i64" || tensor.dtype === "f64" ? 8 : 4);
}

function count(shape: readonly number[]): number {
  return shape.reduce((a, b) => a * b, 1);
}
