// The language model's beginning, blocks -> embeddings -> trunk, and where its parts lie in an autoregressive checkpoint. Training
// traces the token head after it (train/loss/scored-blocks.ts), generation in graphs of their own (generation-graphs.ts).

import type { KeyValue } from "../nn/attention.ts";
import type { Params } from "../tensor/params.ts";
import type { Tensor } from "../tensor/tensor.ts";
import type { LanguageModelConfig } from "./config.ts";
import { type Decoded, decoderStack } from "./decoder.ts";
import { type BlockEmbeddings, embedBlocks, embeddingTable } from "./embedding.ts";

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
