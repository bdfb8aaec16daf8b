// A session for training: what trains is fed at each run, the rest are weights as they are stored.

import { openGraph, type Session, type SessionOptions, weight } from "../runtime/session.ts";
import { isQuantized, type WeightSource } from "../runtime/weight-source.ts";
import type { Graph } from "../tensor/graph.ts";

/** What an optimizer changes, and where the rest comes from. */
export interface TrainedPart {
  /** Whether a parameter trains: those are inputs, fed by path at each run. */
  readonly isTrained: (path: string) => boolean;
  /** The others, which stay where and as they are stored. */
  readonly frozen: WeightSource;
}

const everything: TrainedPart = { isTrained: () => true, frozen: { find: () => undefined } };

/**
 * Opens a session for training. Parameters that train are inputs; the others are weights, widened or dequantised just before each
 * use, so that memory holds them as they are stored. Throws, naming it, when one of those is missing or differs in shape.
 */
export async function openTrainingSession(
  graph: Graph,
  options: SessionOptions = {},
  { isTrained, frozen }: TrainedPart = everything,
): Promise<Session> {
  const fixed = [...graph.parameters.keys()].filter((path) => !isTrained(path));
  const hasQuantized = fixed.some((path) => {
    const found = frozen.find(path);
    return found !== undefined && isQuantized(found);
  });
  return openGraph(
    graph,
    (folder) => (path) => (isTrained(path) ? "input" : weight(graph, frozen, path, folder)),
    { find: (path) => (isTrained(path) ? undefined : frozen.find(path)) },
    {
      ...options,
      residualNorms: false,
      widening: fixed.length > 0 ? "run" : "load",
      // Beside a model that is large enough to stay frozen there is no room for results twice.
      ...(fixed.length > 0 && { runMemory: "kept" as const }),
      widensForEachReader: true,
      // A packed copy of a float32 weight, one for each direction; of a quantised one it is what computes.
      prepacks: hasQuantized || fixed.length === 0,
    },
  );
}
