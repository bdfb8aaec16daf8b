// Which weights a graph reads, and how: a product reads all of a weight at every run, a look-up a few of its rows. It decides what
// a run costs and in what form a session holds the weight.

import { staticShape } from "./dims.ts";
import { type Graph, type GraphNode, neededNodes } from "./graph.ts";
import type { OpName } from "./ops.ts";
import type { Tensor } from "./tensor.ts";

/** Rows of a weight as some node reads them. */
export interface WeightUse {
  readonly path: string;
  /** Elements that are kept for it: of the rows that a slice leaves. */
  readonly elements: number;
  /**
   * `product` and `filter` (of a convolution): read whole at every run. `table`: rows are looked up. `other`: widened to float32
   * whatever it is stored as.
   */
  readonly use: "product" | "filter" | "table" | "other";
  /** The nodes that read it so. */
  readonly readers: readonly GraphNode[];
}

/** Whether every run reads all of a weight. */
export function isReadWhole({ use }: WeightUse): boolean {
  return use === "product" || use === "filter";
}

/** The weights behind a graph's outputs; the same rows read the same way count once. */
export function weightUses(graph: Graph): WeightUse[] {
  /** Parameters, and ranges of their rows: those are weights too, where they lie. */
  const weights = new Map<Tensor, { readonly path: string; readonly key: string }>();
  const uses = new Map<string, WeightUse>();
  for (const node of neededNodes(graph)) {
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
      const use = i === 1 ? (wholeUses[op] ?? "other") : i === 0 && op === "gather" ? "table" : "other";
      const key = `${use} ${weight.key}`;
      uses.set(key, {
        path: weight.path,
        elements: staticShape(input.shape).reduce((a, b) => a * b, 1),
        use,
        readers: [...(uses.get(key)?.readers ?? []), node],
      });
    }
  }
  return [...uses.values()];
}

/** How operations read a weight that is their second operand. */
const wholeUses: { readonly [K in OpName]?: WeightUse["use"] } = {
  linear: "product",
  matmul: "product",
  conv2d: "filter",
};

function isRowSlice(node: GraphNode): node is GraphNode<"slice"> {
  if (node.op !== "slice") return false;
  const [range, ...others] = (node as GraphNode<"slice">).attributes.ranges;
  return others.length === 0 && range!.axis === 0 && range!.step === 1;
}
