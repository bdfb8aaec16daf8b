// The language model put together: blocks -> embeddings -> trunk -> token head. What training traces whole (train/loss/) and
// generation in two parts (language-model.ts). Paths are those of an autoregressive checkpoint.

import type { KeyValue } from "../nn/attention.ts";
import type { Graph } from "../tensor/graph.ts";
import type { Params } from "../tensor/params.ts";
import type { Tensor } from "../tensor/tensor.ts";
import type { LanguageModelConfig } from "./config.ts";
import { type Decoded, decoderStack } from "./decoder.ts";
import { type BlockEmbeddings, embedBlocks, embeddingTable } from "./embedding.ts";
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

/** Sizes of a graph over B packed rows of T blocks, of which Q are scored. */
export interface ScoredSizes {
  /** 1 if absent. */
  readonly rows?: number;
  readonly blocks: number;
  readonly scoredBlocks: number;
}

/**
 * The whole model with the true block after each scored one. Declares every parameter that training has.
 * -> the head's results after the final norm [Q, N+1, D], and the output matrix [V+S, D].
 */
export function traceScored(
  graph: Graph,
  config: LanguageModelConfig,
  { rows: B = 1, blocks: T, scoredBlocks: Q }: ScoredSizes,
) {
  const { qwen } = config;
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
  return { output: finalNorm(trunk, output, qwen.norm_eps), matrix };
}
