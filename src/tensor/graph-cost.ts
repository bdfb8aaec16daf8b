// What one run of a traced graph costs, read off its nodes: operations, weights read, bytes fed, and the memory of what is
// between. Nothing is computed, so the cost of a model of any size is known in milliseconds from its config.

import { type Sizes, sizesOf } from "./dims.ts";
import { type Graph, type GraphNode, neededNodes, runningNodes } from "./graph.ts";
import type { OpName } from "./ops.ts";
import { peakBytes, tensorBytes } from "./peak-memory.ts";
import { nodeFlop } from "./products.ts";
import type { Tensor } from "./tensor.ts";

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
  /** The most bytes that results have at one time. */
  readonly peakBytes: number;
}

/** The cost of computing a graph's outputs once, its dynamic sizes being as `sizes` says. */
export function graphCost(graph: Graph, sizes: Sizes = {}): GraphCost {
  const running = runningNodes(graph);
  const inputs = running.filter(({ op }) => op === "input").map(({ outputs }) => outputs[0]!);
  return {
    flop: running.reduce((sum, node) => sum + nodeFlop(node, sizes), 0),
    weights: weightUses(neededNodes(graph)),
    inputBytes: inputs.reduce((sum, input) => sum + tensorBytes(input, sizes), 0),
    peakBytes: peakBytes(graph, sizes),
  };
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

function count(shape: readonly number[]): number {
  return shape.reduce((a, b) => a * b, 1);
}
