// The language model put together: blocks -> embeddings -> trunk -> token head -> loss. What training traces whole and
// generation in two parts (language-model.ts). Paths are those of an autoregressive checkpoint.

import type { KeyValue } from "../nn/attention.ts";
import { rotary1d } from "../nn/rotary.ts";
import { f32, type HostTensor, i32 } from "../runtime/host-tensor.ts";
import { blockInputs } from "../sequence/blocks.ts";
import { blockLabels } from "../sequence/labels.ts";
import { type BlockIds, segmentPositions } from "../sequence/layout.ts";
import type { Graph } from "../tensor/graph.ts";
import type { Params } from "../tensor/params.ts";
import type { Tensor } from "../tensor/tensor.ts";
import { blockVocabulary, type LanguageModelConfig } from "./config.ts";
import { type Decoded, decoderStack } from "./decoder.ts";
import { type BlockEmbeddings, embedBlocks, embeddingTable } from "./embedding.ts";
import { type BlockLoss, blockLoss, joinSupervised, type SupervisedRows, supervisedRows } from "./loss.ts";
import { segmentMask } from "./mask.ts";
import { finalNorm, outputMatrix } from "./output.ts";
import { teacherForced, tokenHead } from "./token-head.ts";

/** Where the parts of the language model lie in an autoregressive checkpoint. */
export function languageModelPaths(root: Params) {
  const trunk = root.at("model", "model");
  return {
    trunk,
    table: trunk.at("tok_embeddings", "embed_tokens"),
    head: trunk.at("token_head"),
    /** Used by generation. */
    output: trunk.at("output"),
    /** Used by training. */
    lmHead: root.at("lm_head"),
  };
}

export interface BlockTensors {
  /** i32 and f32 [B, T, N], of blockInputs. */
  readonly index: Tensor;
  readonly weight: Tensor;
  /** [B, T, N], 1 where the padding entry is looked up. Training only. */
  readonly frozen?: Tensor;
  /** [T, E/2] or [B, T, E/2] */
  readonly cos: Tensor;
  readonly sin: Tensor;
  /** Which row of those is for which block; see DecoderOptions. */
  readonly rows?: Tensor;
  /** [T, C+T], [B, T, C+T] or [B, 1, 1, T, C+T] */
  readonly mask: Tensor;
}

/** Blocks through embedding and trunk. */
export function readBlocks(
  root: Params,
  blocks: BlockTensors,
  { qwen }: LanguageModelConfig,
  cache?: readonly KeyValue[],
): { readonly embeddings: BlockEmbeddings; readonly decoded: Decoded } {
  const { trunk, table } = languageModelPaths(root);
  const entries = embeddingTable(table, qwen.vocab_size + qwen.codebook_size, qwen.embed_dim);
  const embeddings = embedBlocks(entries, blocks.index, blocks.weight, blocks.frozen);
  const { cos, sin, rows, mask } = blocks;
  const decoded = decoderStack(trunk, embeddings.inputs, {
    config: qwen,
    cos,
    sin,
    mask,
    ...(rows && { rows }),
    ...(cache && { cache }),
  });
  return { embeddings, decoded };
}

/**
 * The token head on Q positions, fed the block after each: positions and next i32 [Q] count in the flattened [B*T].
 * -> what goes in and what comes out, [Q, N+1, D] each.
 */
export function predictNextBlocks(
  root: Params,
  { embeddings, decoded }: ReturnType<typeof readBlocks>,
  positions: Tensor,
  next: Tensor,
  { head }: LanguageModelConfig,
): { readonly input: Tensor; readonly output: Tensor } {
  const hidden = decoded.hidden.at(-1)!;
  const D = hidden.dim(-1);
  const [, , N] = embeddings.groups.dims(4);
  const groups = embeddings.groups.reshape([-1, N!, D]).gather(next); // [Q, N, D]
  const input = teacherForced(hidden.reshape([-1, D]).gather(positions), groups);
  return { input, output: tokenHead(languageModelPaths(root).head, input, head).output };
}

/** Sizes of a training graph: B packed rows of T blocks, of which at most Q are scored, with at most R labels in all. */
export interface TrainingSizes {
  /** 1 if absent. */
  readonly rows?: number;
  readonly blocks: number;
  readonly scoredBlocks: number;
  readonly labels: number;
}

/** The training loss over packed rows; trainingFeeds gives the inputs that it declares. */
export function traceLanguageModelLoss(graph: Graph, config: LanguageModelConfig, sizes: TrainingSizes): BlockLoss {
  const { qwen } = config;
  const { rows: B = 1, blocks: T, scoredBlocks: Q, labels: R } = sizes;
  const groups = [B, T, qwen.n_q_tokens];
  const angles = [B, T, qwen.head_dim / 2];
  const read = readBlocks(
    graph.params,
    {
      index: graph.input("index", groups, "i32"),
      weight: graph.input("weight", groups),
      frozen: graph.input("frozen", groups),
      cos: graph.input("cos", angles),
      sin: graph.input("sin", angles),
      mask: graph.input("mask", [B, T, T]),
    },
    config,
  );
  const [positions, next] = [graph.input("positions", [Q], "i32"), graph.input("next", [Q], "i32")];
  const { output } = predictNextBlocks(graph.params, read, positions, next, config);
  const { trunk, lmHead } = languageModelPaths(graph.params);
  const matrix = outputMatrix(lmHead, qwen.vocab_size + qwen.codebook_size, qwen.embed_dim);
  return blockLoss(finalNorm(trunk, output, qwen.norm_eps), matrix, {
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
  const index = joined(
    Int32Array,
    inputs.map((input) => input.index),
  );
  const ropes = rows.map((row) => rotary1d(segmentPositions(row.cuSegments), qwen.head_dim, qwen.rope_base));
  const groups = [B, T, qwen.n_q_tokens];
  const angles = [B, T, qwen.head_dim / 2];
  const feeds = {
    index: i32(index, groups),
    weight: f32(
      joined(
        Float32Array,
        inputs.map((input) => input.weight),
      ),
      groups,
    ),
    frozen: f32(frozenRows(index, qwen.pad_token_id), groups),
    cos: f32(
      joined(
        Float32Array,
        ropes.map(({ cos }) => cos),
      ),
      angles,
    ),
    sin: f32(
      joined(
        Float32Array,
        ropes.map(({ sin }) => sin),
      ),
      angles,
    ),
    mask: f32(
      joined(
        Float32Array,
        rows.map((row) => segmentMask(row.cuSegments)),
      ),
      [B, T, T],
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

function joined<T extends Int32Array | Float32Array>(kind: new (length: number) => T, parts: readonly T[]): T {
  const all = new kind(parts.reduce((sum, part) => sum + part.length, 0));
  let at = 0;
  for (const part of parts) {
    all.set(part, at);
    at += part.length;
  }
  return all;
}

/** 1 where the padding entry is looked up: its row of the table stays as it is. Without one all rows learn. */
export function frozenRows(index: Int32Array, padding: number | null): Float32Array {
  return Float32Array.from(index, (id) => (id === padding ? 1 : 0));
}
