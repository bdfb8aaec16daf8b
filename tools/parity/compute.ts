// One run of a graph: how every case computes its tensors.

import type { HostTensor } from "../../src/runtime/host-tensor.ts";
import { openSession, type WeightSource } from "../../src/runtime/session.ts";
import type { Graph } from "../../src/tensor/graph.ts";

/** The graph's outputs by name. */
export async function compute(
  graph: Graph,
  weights: WeightSource,
  feeds: Readonly<Record<string, HostTensor>> = {},
): Promise<Map<string, HostTensor>> {
  const session = await openSession(graph, weights);
  try {
    return new Map(Object.entries(await session.run(feeds)));
  } finally {
    await session.release();
  }
}
