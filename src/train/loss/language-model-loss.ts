// The language model's training loss over packed rows of blocks, and what such a graph is fed.

import { blockVocabulary, type LanguageModelConfig } from "../../llm/config.ts";
import { f32, type HostTensor, i32, joinFloats, joinIntegers } from "../../runtime/host-tensor.ts";
import { blockInputs } from "../../sequence/blocks.ts";
import type { BlockIds } from "../../sequence/layout.ts";
import type { Graph } from "../../tensor/graph.ts";
import { packedFeeds } from "../row-tables.ts";
import { type BlockLoss, blockLoss, joinSupervised, type SupervisedRows, supervisedRows } from "./block-loss.ts";
import { blockLabels } from "./labels.ts";
import { type ScoredSizes, traceScored } from "./scored-blocks.ts";

/** Sizes of a training graph: B packed rows of T blocks, of which at most Q are scored, with at most R labels in all. */
export interface TrainingSizes extends ScoredSizes {
  readonly labels: number;
}

/** The training loss over packed rows; trainingFeeds gives the inputs that it declares. */
export function traceLanguageModelLoss(graph: Graph, config: LanguageModelConfig, sizes: TrainingSizes): BlockLoss {
  const { output, matrix } = traceScored(graph, config, sizes);
  const R = sizes.labels;
  return blockLoss(output, matrix, {
    rows: graph.input("rows", [R], "i32"),
    labels: graph.input("labels", [R], "i32"),
    weights: graph.input("weights", [R]),
  });
}

/** A packed row ready to train on. */
export interface PackedRow {
  /** [T, N+1] */
  readonly blocks: BlockIds;
  /** [T, N+1] what is read where it differs from what is scored. */
  readonly read?: BlockIds;
  /** [T] */
  readonly lossMask: ArrayLike<number>;
  /** [n+1], 0 and the ends of the samples. */
  readonly cuSegments: ArrayLike<number>;
}

/** Inputs of traceLanguageModelLoss; `scored` is what lossByKind wants beside the row losses. */
export function trainingFeeds(
  rows: readonly PackedRow[],
  config: LanguageModelConfig,
  sizes: TrainingSizes,
): { readonly feeds: Record<string, HostTensor>; readonly scored: SupervisedRows } {
  const { qwen } = config;
  const vocabulary = blockVocabulary(qwen);
  const { rows: B = 1, blocks: T } = sizes;
  if (rows.length !== B) throw new Error(`${rows.length} rows for a batch of ${B}`);
  const parts = rows.map(({ blocks, lossMask }) =>
    supervisedRows(blockLabels(blocks, lossMask, vocabulary), vocabulary),
  );
  const room = { positions: sizes.scoredBlocks, rows: sizes.labels };
  const scored = joinSupervised(parts, T, vocabulary, room);
  const inputs = rows.map(({ blocks, read = blocks }) => blockInputs(read, vocabulary));
  const index = joinIntegers(inputs.map((input) => input.index));
  const groups = [B, T, qwen.n_q_tokens];
  const feeds = {
    index: i32(index, groups),
    weight: f32(joinFloats(inputs.map((input) => input.weight)), groups),
    frozen: f32(frozenRows(index, qwen.pad_token_id), groups),
    ...packedFeeds(
      rows.map(({ cuSegments }) => cuSegments),
      T,
      qwen,
    ),
    positions: i32(scored.positions, [scored.positions.length]),
    // Only blocks with a successor in their row are scored, so a row's last position never matters here.
    next: i32(
      scored.positions.map((t) => (t + 1) % (B * T)),
      [scored.positions.length],
    ),
    rows: i32(scored.rows, [scored.rows.length]),
    labels: i32(scored.labels, [scored.labels.length]),
    weights: f32(scored.weights, [scored.weights.length]),
  };
  return { feeds, scored };
}

/** 1 where the padding entry is looked up: its row of the table stays as it is. Without one all rows learn. */
function frozenRows(index: Int32Array, padding: number | null): Float32Array {
  return Float32Array.from(index, (id) => (id === padding ? 1 : 0));
}
