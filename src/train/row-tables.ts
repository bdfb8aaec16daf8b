// Rotary tables and causal mask of a training graph's rows. Rows of one sample share constants; rows of several have inputs of their
// own. Generation feeds them too (language-model.ts).

import type { DecoderConfig } from "../llm/config.ts";
import { rotary1d } from "../nn/rotary.ts";
import { f32, type HostTensor, joinFloats } from "../runtime/host-tensor.ts";
import type { Graph } from "../tensor/graph.ts";
import { segmentMask, segmentPositions } from "./segments.ts";

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

/** The same as inputs, for B rows that hold several samples each: [B, T, E/2] and [B, T, T]. */
export function packedTables(graph: Graph, B: number, T: number, { head_dim: E }: DecoderConfig) {
  return {
    cos: graph.input("cos", [B, T, E / 2]),
    sin: graph.input("sin", [B, T, E / 2]),
    mask: graph.input("mask", [B, T, T]),
  };
}

/** What packedTables declares, from the ends of each row's samples: cuSegments [n+1] holds 0 and the ends, the last of them T. */
export function packedFeeds(
  rows: readonly ArrayLike<number>[],
  T: number,
  { head_dim: E, rope_base }: DecoderConfig,
): Record<"cos" | "sin" | "mask", HostTensor> {
  const ropes = rows.map((cuSegments) => rotary1d(segmentPositions(cuSegments), E, rope_base));
  return {
    cos: f32(joinFloats(ropes.map(({ cos }) => cos)), [rows.length, T, E / 2]),
    sin: f32(joinFloats(ropes.map(({ sin }) => sin)), [rows.length, T, E / 2]),
    mask: f32(joinFloats(rows.map((cuSegments) => segmentMask(cuSegments))), [rows.length, T, T]),
  };
}
