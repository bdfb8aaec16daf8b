// The cost of one run of a traced graph, computed from its nodes: operations, weights read, bytes fed, and the memory of
// intermediate results. Nothing is run, so the cost of a model of any size follows from its config in milliseconds.

import type { Sizes } from "../tensor/dims.ts";
import { type Graph, type GraphNode, runningNodes } from "../tensor/graph.ts";
import { peakBytes, tensorBytes } from "../tensor/peak-memory.ts";
import { nodeFlop } from "../tensor/products.ts";
import { type WeightUse, weightUses } from "../tensor/weight-uses.ts";

export interface WeightCost extends WeightUse {
  /** Floating-point operations of its readers. */
  readonly flop: number;
}

export interface GraphCost {
  /** Floating-point operations of products and convolutions. */
  readonly flop: number;
  readonly weights: readonly WeightCost[];
  /** Bytes of all inputs, each read once. */
  readonly inputBytes: number;
  /** Peak bytes of live results. */
  readonly peakBytes: number;
}

/** The cost of computing a graph's outputs once, with the dynamic sizes in `sizes`. */
export function graphCost(graph: Graph, sizes: Sizes = {}): GraphCost {
  const running = runningNodes(graph);
  const inputs = running.filter(({ op }) => op === "input").map(({ outputs }) => outputs[0]!);
  const flopOf = (nodes: readonly GraphNode[]) => nodes.reduce((sum, node) => sum + nodeFlop(node, sizes), 0);
  return {
    flop: flopOf(running),
    weights: weightUses(graph).map((use) => ({ ...use, flop: flopOf(use.readers) })),
    inputBytes: inputs.reduce((sum, input) => sum + tensorBytes(input, sizes), 0),
    peakBytes: peakBytes(graph, sizes),
  };
}
