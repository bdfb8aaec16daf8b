// Sizes of the models that decoding is measured on: Qwen3 0.6B; 8 layers of Qwen3 8B, enough to fill the caches of any
// processor; and a toy that only shows that everything runs.

import { type LanguageModelConfig, tokenHeadConfigSchema, unifiedQwen3ConfigSchema } from "../../../src/llm/config.ts";

export interface DecodingShape {
  readonly vocabulary: number;
  readonly width: number;
  readonly layers: number;
  readonly heads: number;
  readonly kvHeads: number;
  readonly headWidth: number;
  readonly feedForward: number;
}

export const decodingShapes = {
  "h1024-l28": {
    vocabulary: 151_936,
    width: 1024,
    layers: 28,
    heads: 16,
    kvHeads: 8,
    headWidth: 128,
    feedForward: 3072,
  },
  "h4096-l8": {
    vocabulary: 151_936,
    width: 4096,
    layers: 8,
    heads: 32,
    kvHeads: 8,
    headWidth: 128,
    feedForward: 12_288,
  },
  toy: { vocabulary: 2048, width: 256, layers: 2, heads: 4, kvHeads: 2, headWidth: 64, feedForward: 512 },
} as const satisfies Record<string, DecodingShape>;
export type ShapeName = keyof typeof decodingShapes;

/** N, as in the released model. */
export const BOOKS = 8;
/** S where no image is read or written: one entry for each book. */
export const TEXT_ONLY = BOOKS;

/** Sizes of the token head. */
export interface HeadSize {
  readonly d_model: number;
  readonly num_layers: number;
  readonly dim_feedforward: number;
}

/** As little of a token head as there can be, for comparisons with models that have none. */
export const noHead: HeadSize = { d_model: 8, num_layers: 0, dim_feedforward: 1 };
/** The reference's default. */
export const releasedHead: HeadSize = { d_model: 512, num_layers: 1, dim_feedforward: 1024 };

/** A shape in the fields of `qwen_config`. */
export function sizesOf(shape: DecodingShape) {
  return {
    vocab_size: shape.vocabulary,
    embed_dim: shape.width,
    num_layers: shape.layers,
    num_heads: shape.heads,
    num_kv_heads: shape.kvHeads,
    head_dim: shape.headWidth,
    intermediate_dim: shape.feedForward,
    rope_base: 1e6,
  };
}

/** A language model of a shape, with `codebookSize` visual entries in all books together. */
export function decodingConfig(shape: DecodingShape, codebookSize: number, head: HeadSize): LanguageModelConfig {
  const { vocabulary: V } = shape;
  return {
    qwen: unifiedQwen3ConfigSchema.parse({
      ...sizesOf(shape),
      tie_word_embeddings: false,
      eos_token_id: V - 1,
      vision_start_token_id: V - 2,
      vision_end_token_id: V - 3,
      image_token_id: V - 4,
      pad_token_id: V - 5,
      q_eos_token: V - 6,
      codebook_size: codebookSize,
      n_q_tokens: BOOKS,
    }),
    head: tokenHeadConfigSchema.parse({
      ...head,
      nhead: 4,
      max_length: BOOKS + 1,
      max_pos_length: BOOKS + 1,
      eos_token: V - 6,
      input_dim: shape.width,
    }),
  };
}
