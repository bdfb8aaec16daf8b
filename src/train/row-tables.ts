// Rotary tables and causal mask as constants inside the graph, for rows that start at position 0 and have one fixed length:
// used in training and by frozen models. Generation feeds them instead (language-model.ts).

import type { DecoderConfig } from "../llm/config.ts";
import { rotary1d } from "../nn/rotary.ts";
import type { Graph } from "../tensor/graph.ts";
import { segmentMask } from "./segments.ts";

/** cos and sin [T, E/2], mask [T, T]: for decoderStack and readBlocks. */
export function rowTables(graph: Graph, T: number, { head_dim: E, rope_base }: DecoderConfig) {
  const positions = Array.from({ length: T }, (_, t) => t);
  const { cos, sin } = rotary1d(positions, E, rope_base);
  return {
    cos: graph.constant(cos, [T, E / 2]),
    sin: graph.constant(sin, [T, E / 2]),
    mask: graph.constant(segmentMask([0, T]), [T, T]),
  };
}
