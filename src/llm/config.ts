// Settings of the language model (`qwen_config`), of its token head (`token_decoder_config`) and of the whole
// autoregressive model (config.json), under the reference's field names and with its defaults.

import * as z from "zod";
import { ignored, type OnUnknown, only, parseConfig, unsupported } from "../checkpoint/parse-config.ts";
import type { BlockVocabulary } from "../sequence/layout.ts";
import { MIN_EPSILON, tokenizerConfigSchema } from "../vision/config.ts";

/** Beyond these a config is a mistake or an attack: no accelerator of today would hold the tensors. */
const MAX_WIDTH = 65_536;
const MAX_VOCABULARY = 4_194_304;

const width = (initial: number) => z.int().min(1).max(MAX_WIDTH).default(initial);
const heads = (initial: number) => z.int().min(1).max(1024).default(initial);
const tokenId = z.int().min(0).max(MAX_VOCABULARY);
/** Slots of a block times layers of the token head, which are traced one after the other. */
const MAX_HEAD_STEPS = 2048;

/** The decoder's shape: all that decoderStack reads. */
export interface DecoderConfig {
  readonly embed_dim: number;
  readonly num_layers: number;
  readonly num_heads: number;
  readonly num_kv_heads: number;
  readonly head_dim: number;
  readonly intermediate_dim: number;
  readonly rope_base: number;
  readonly norm_eps: number;
  readonly q_norm: boolean;
  readonly k_norm: boolean;
  readonly q_proj_bias: boolean;
  readonly k_proj_bias: boolean;
  readonly v_proj_bias: boolean;
}

export const decoderFields = {
  vocab_size: z.int().min(1).max(MAX_VOCABULARY).default(151_936),
  embed_dim: width(4096),
  num_layers: z.int().min(1).max(512).default(32),
  num_heads: heads(32),
  num_kv_heads: heads(32),
  head_dim: z.int().min(2).max(4096).multipleOf(2).default(128),
  intermediate_dim: z
    .int()
    .min(1)
    .max(4 * MAX_WIDTH)
    .default(11_008),
  rope_base: z.number().min(1).default(10_000),
  norm_eps: z.number().min(MIN_EPSILON).max(1).default(1e-6),
  q_norm: z.boolean().default(true),
  k_norm: z.boolean().default(true),
  q_proj_bias: z.boolean().default(false),
  k_proj_bias: z.boolean().default(false),
  v_proj_bias: z.boolean().default(false),
  tie_word_embeddings: z.boolean().default(true),
  max_seq_len: z.int().min(1).max(16_777_216).default(32_768),
  // All positions of this model lie on one axis, for which the multimodal rotation is the ordinary one.
  use_multimodal_rope: z.boolean().default(false),
  mrope_section: ignored,
  // No bearing on the values: kernels, training-time switches, and fields that Qwen3's config.json carries along.
  attention_function: ignored,
  attn_dropout: ignored,
  attention_bias: ignored,
  model_class: ignored,
  __class__: ignored,
  rope_theta: ignored,
  rope_impl: ignored,
  rope_scaling: ignored,
  rms_norm_eps: ignored,
  hidden_act: ignored,
  use_sliding_window: ignored,
  sliding_window: ignored,
  max_window_layers: ignored,
  skip_output_layer: ignored,
  use_gradient_checkpointing: ignored,
};

export const groupsEvenly = (c: { num_heads: number; num_kv_heads: number }) => c.num_heads % c.num_kv_heads === 0;
export const unevenGroups = { message: "must be a divisor of num_heads", path: ["num_kv_heads"] };

/** `qwen_config`: the decoder with visual entries after its V text entries. */
export const unifiedQwen3ConfigSchema = z
  .strictObject({
    ...decoderFields,
    /** The unified model keeps its own output matrix, whatever the decoder's default. */
    tie_word_embeddings: z.literal(false),
    eos_token_id: tokenId.default(151_645),
    vision_start_token_id: tokenId.default(151_652),
    vision_end_token_id: tokenId.default(151_653),
    image_token_id: tokenId,
    /** The row of the table that training leaves as it is; null for none. */
    pad_token_id: tokenId.nullable().default(null),
    q_eos_token: tokenId,
    codebook_size: z.int().min(1).max(MAX_VOCABULARY).default(8192),
    n_q_tokens: z.int().min(1).max(1024).default(8),
    pre_embedding_size: only(null),
    pre_embedding_tokens: only(null),
    token_decoder_with_teacher_forcing: ignored,
    output_last_hidden_states_only: ignored,
  })
  .refine(groupsEvenly, unevenGroups)
  .refine((c) => c.codebook_size % c.n_q_tokens === 0, {
    message: "must be a multiple of n_q_tokens",
    path: ["codebook_size"],
  })
  .superRefine((c, context) => {
    for (const field of specialTokens) {
      if ((c[field] ?? 0) >= c.vocab_size)
        context.addIssue({ code: "custom", message: `must be below vocab_size ${c.vocab_size}`, path: [field] });
    }
  });
const specialTokens = [
  "eos_token_id",
  "vision_start_token_id",
  "vision_end_token_id",
  "image_token_id",
  "pad_token_id",
  "q_eos_token",
] as const;
export type UnifiedQwen3Config = z.infer<typeof unifiedQwen3ConfigSchema>;

/** `token_decoder_config`: the small transformer over the slots of one block. */
export const tokenHeadConfigSchema = z
  .strictObject({
    d_model: width(512),
    nhead: heads(4),
    num_layers: z.int().min(0).max(512).default(1),
    dim_feedforward: width(1024),
    max_length: z.int().min(2).max(1025).default(9),
    max_pos_length: z.int().min(1).max(1_048_576).default(65_537),
    eos_token: tokenId.default(151_681),
    input_dim: width(4096),
    reduce: only(true),
    attention_function: ignored,
    vocab_size: ignored,
    use_gradient_checkpointing: ignored,
    model_class: ignored,
    __class__: ignored,
  })
  .refine((c) => c.d_model % c.nhead === 0, { message: "must be a multiple of nhead", path: ["d_model"] })
  .refine((c) => c.max_pos_length >= c.max_length, {
    message: "must be at least max_length",
    path: ["max_pos_length"],
  });
export type TokenHeadConfig = z.infer<typeof tokenHeadConfigSchema>;

/** config.json of an autoregressive checkpoint. */
export const keyeArConfigSchema = z
  .strictObject({
    __class__: z.literal("KeyeARConfig").default("KeyeARConfig"),
    model_class: ignored,
    qwen_config: unifiedQwen3ConfigSchema,
    tokenizer_config: tokenizerConfigSchema,
    token_decoder_config: tokenHeadConfigSchema,
  })
  .superRefine((c, context) => {
    const agree = (field: string, found: number, wanted: number, as: string, details = {}) => {
      const message = `is ${found} but ${as} is ${wanted}`;
      if (found !== wanted) context.addIssue({ code: "custom", message, path: field.split("."), ...details });
    };
    const { qwen_config: qwen, tokenizer_config: tokenizer, token_decoder_config: head } = c;
    agree("tokenizer_config.codebook_size", tokenizer.codebook_size, qwen.codebook_size, "qwen_config.codebook_size");
    agree("tokenizer_config.n_q_tokens", tokenizer.n_q_tokens, qwen.n_q_tokens, "qwen_config.n_q_tokens");
    const share = "n_q_tokens (books that share ids are not supported)";
    agree("tokenizer_config.split_voc", tokenizer.split_voc, qwen.n_q_tokens, share, unsupported);
    agree("token_decoder_config.max_length", head.max_length, qwen.n_q_tokens + 1, "n_q_tokens + 1");
    agree("token_decoder_config.eos_token", head.eos_token, qwen.q_eos_token, "qwen_config.q_eos_token");
    agree("token_decoder_config.input_dim", head.input_dim, qwen.embed_dim, "qwen_config.embed_dim");
    if (qwen.n_q_tokens * head.num_layers > MAX_HEAD_STEPS) {
      const message = `times n_q_tokens is more than ${MAX_HEAD_STEPS}`;
      context.addIssue({ code: "custom", message, path: ["token_decoder_config", "num_layers"] });
    }
  });
export type KeyeArConfig = z.infer<typeof keyeArConfigSchema>;

/** The two parts of the autoregressive model that this folder runs. */
export interface LanguageModelConfig {
  readonly qwen: UnifiedQwen3Config;
  readonly head: TokenHeadConfig;
}

/** Reads config.json of an autoregressive checkpoint; throws as parseConfig does. */
export function parseKeyeArConfig(value: unknown, file = "config.json", onUnknown?: OnUnknown): KeyeArConfig {
  return parseConfig(keyeArConfigSchema, value, file, onUnknown);
}

/** The language model's part of the whole config. */
export function languageModelConfig({ qwen_config, token_decoder_config }: KeyeArConfig): LanguageModelConfig {
  return { qwen: qwen_config, head: token_decoder_config };
}

/** The borders and special ids that the config fixes. */
export function blockVocabulary(qwen: UnifiedQwen3Config): BlockVocabulary {
  return {
    vocabSize: qwen.vocab_size,
    codebookSize: qwen.codebook_size,
    codesPerPatch: qwen.n_q_tokens,
    qEos: qwen.q_eos_token,
    imagePad: qwen.image_token_id,
    visionStart: qwen.vision_start_token_id,
    visionEnd: qwen.vision_end_token_id,
    eos: qwen.eos_token_id,
  };
}
