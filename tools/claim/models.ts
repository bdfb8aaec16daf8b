// The configs of an arm's models. Encoder, language model and total code width are the same in all arms; only the rounding differs.

import { type KeyeArConfig, parseKeyeArConfig } from "../../src/llm/config.ts";
import { type AnswerSizes, type Model, modelSchema } from "../../src/train/stages/tokenizer-graph.ts";
import { type Arm, arms } from "./protocol.ts";

/** Pixels of an image's side and of a position's. Only the bits per position matter here, so a small image asks the same question for less. */
export const IMAGE_SIDE = 48;
export const POSITION_SIDE = 16;
export const POSITIONS = (IMAGE_SIDE / POSITION_SIDE) ** 2;

const WIDTH = 192;
const LAYERS = 4;
const INTERMEDIATE = 512;
const HEADS = 6;

/** Parts in which the continuous features are normed: as in the arm with eight codes. */
const CONTINUOUS_PARTS = 8;

/**
 * Training: a conversation has three questions about a grid and at most 119 tokens, 88 on average, so several share a row. In 200 batches
 * of 32, 17 of the 6,400 conversations found no room, and a batch had 1,167 answer tokens on average and at most 1,491.
 */
export const ROW_LENGTH = 128;
const ROWS_PER_IMAGE = 28 / 32;
const ANSWERS_PER_IMAGE = 48;
/** Scoring: one question, in a row of its own. */
export const SCORED_LENGTH = 64;
const SCORED_ANSWERS = 32;

export function rowSizes(batch: number): AnswerSizes & { readonly packedRows: number } {
  const packedRows = Math.ceil(batch * ROWS_PER_IMAGE);
  return { batch, length: ROW_LENGTH, packedRows, answers: batch * ANSWERS_PER_IMAGE };
}

export function scoredSizes(batch: number): AnswerSizes {
  return { batch, length: SCORED_LENGTH, answers: batch * SCORED_ANSWERS };
}

/** Special tokens of the text vocabulary, which all arms share: `data/claim/vocabulary`, that of kelix-nano's first version. */
const vocabulary = {
  vocab_size: 1536,
  pad_token_id: 1529,
  eos_token_id: 1531,
  vision_start_token_id: 1532,
  vision_end_token_id: 1533,
  image_token_id: 1534,
  q_eos_token: 1535,
} as const;

export function armConfig({ codes, entries, width }: Arm): KeyeArConfig {
  const N = codes || CONTINUOUS_PARTS;
  return parseKeyeArConfig(
    {
      __class__: "KeyeARConfig",
      model_class: "KeyeARModel",
      qwen_config: {
        model_class: "UnifiedQwen3Model",
        ...vocabulary,
        embed_dim: WIDTH,
        num_layers: LAYERS,
        num_heads: HEADS,
        num_kv_heads: HEADS / 2,
        head_dim: WIDTH / HEADS,
        intermediate_dim: INTERMEDIATE,
        rope_base: 10_000,
        norm_eps: 1e-6,
        q_norm: true,
        k_norm: true,
        tie_word_embeddings: false,
        max_seq_len: ROW_LENGTH,
        codebook_size: entries,
        n_q_tokens: N,
      },
      tokenizer_config: {
        model_class: "KeyeImageTokenizer",
        codebook_size: entries,
        split_voc: N,
        n_q_tokens: N,
        embedding_dim: width,
        split_dim: true,
        init_embedding_dim: width / N,
        llm_hidden_size: WIDTH,
        output_dim: WIDTH,
        fusion_type: "mean",
        vision_config: {
          image_size: IMAGE_SIDE,
          patch_size: 8,
          num_channels: 3,
          hidden_size: WIDTH,
          num_hidden_layers: LAYERS,
          num_attention_heads: HEADS,
          intermediate_size: INTERMEDIATE,
          hidden_act: "gelu_pytorch_tanh",
          layer_norm_eps: 1e-6,
        },
      },
      token_decoder_config: {
        model_class: "UnifiedTokenDecoder",
        d_model: 96,
        nhead: 3,
        num_layers: 1,
        dim_feedforward: 192,
        max_length: N + 1,
        max_pos_length: 16,
        eos_token: vocabulary.q_eos_token,
        input_dim: WIDTH,
      },
    },
    `arm of ${codes} codes`,
  );
}

/** In the form that the tokenizer's training graph takes. */
export function armModel(arm: Arm): Model {
  const weights = { text: 1, pixels: 20 };
  const { config: _, ...rest } = modelSchema.parse({ config: {}, quantize: arm.codes > 0, weights });
  return { ...rest, config: armConfig(arm) };
}

export const continuous = armModel(arms.C);
