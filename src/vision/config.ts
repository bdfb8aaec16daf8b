// Settings of the vision encoder (`vision_config`) and of the image tokenizer (`tokenizer_config`), under the
// reference's field names and with its defaults. Fields that change no number here are accepted and dropped.

import * as z from "zod";
import { ignored, type OnUnknown, only, parseConfig, unsupported } from "../checkpoint/parse-config.ts";

/** A width that an accelerator of today would still hold; a config beyond it is a mistake or an attack. */
const MAX_WIDTH = 65_536;
const width = (initial: number) => z.int().min(1).max(MAX_WIDTH).default(initial);
/** What is smaller is 0 in float32, and divides by it. */
export const MIN_EPSILON = 1e-30;
const epsilon = z.number().min(MIN_EPSILON).max(1).default(1e-6);

/** How the embeddings of a position's codes become one: their sum, or their mean, which is N times smaller. */
export const fusions = ["sum", "mean"] as const;
export type Fusion = (typeof fusions)[number];

/** Codes are stored in 16 bits. */
const MAX_BOOK_SIZE = 65_536;

export const visionConfigSchema = z
  .strictObject({
    image_size: z.int().min(1).max(16_384).default(384),
    patch_size: z.int().min(1).max(256).default(14),
    num_channels: z.int().min(1).max(64).default(3),
    hidden_size: width(1152),
    num_hidden_layers: z.int().min(0).max(512).default(27),
    num_attention_heads: z.int().min(1).max(1024).default(16),
    intermediate_size: width(4304),
    /** The reference's default; SigLIP weights were trained with gelu_pytorch_tanh and their config must say so. */
    hidden_act: z.string().max(100).default("silu"),
    layer_norm_eps: epsilon,
    rope_theta: z.number().min(1).default(10_000),
    use_qk_norm: z.boolean().default(false),
    qk_norm_eps: epsilon,
    has_learnable_position_embedding: z.boolean().default(true),
    // No bearing on the values: which kernel to use, training-time dropout, a length that nothing enforces.
    attention_function: ignored,
    attention_dropout: ignored,
    max_seq_len: ignored,
    model_class: ignored,
    __class__: ignored,
    output_hidden_states: ignored,
    output_attentions: ignored,
    use_gradient_checkpointing: ignored,
  })
  .refine((c) => c.hidden_size % (4 * c.num_attention_heads) === 0, {
    message: "hidden_size must be num_attention_heads times a multiple of 4 (rows and columns turn pairs)",
    path: ["hidden_size"],
  })
  .refine((c) => c.image_size >= c.patch_size, { message: "must be at least patch_size", path: ["image_size"] });

export type VisionConfig = z.infer<typeof visionConfigSchema>;

export const tokenizerConfigSchema = z
  .strictObject({
    vision_config: visionConfigSchema.prefault({}),
    codebook_size: z.int().min(1).max(4_194_304).default(8192),
    split_voc: z.int().min(1).max(1024).default(1),
    n_q_tokens: z.int().min(1).max(1024).default(8),
    embedding_dim: width(128),
    init_embedding_dim: width(4096),
    llm_hidden_size: width(4096),
    output_dim: width(1024),
    fusion_type: z.enum(fusions).default("sum"),
    split_dim: z.boolean().default(false),
    add_voc_reducer: only(false),
    vq_sampling_mode: only("argmin"),
    pre_llm_align: only(false),
    // Used by the softmax sampling mode alone, or not at all.
    vq_temperature: ignored,
    vq_temperature_decay: ignored,
    vq_min_temperature: ignored,
    model_class: ignored,
    __class__: ignored,
  })
  .refine((c) => c.split_voc === 1 || c.split_voc === c.n_q_tokens, {
    message: "must be 1 or n_q_tokens",
    path: ["split_voc"],
  })
  .refine((c) => c.codebook_size % c.split_voc === 0, {
    message: "must be a multiple of split_voc",
    path: ["codebook_size"],
  })
  .refine((c) => c.codebook_size / c.split_voc <= MAX_BOOK_SIZE, {
    message: `gives books of more than ${MAX_BOOK_SIZE} codes`,
    path: ["codebook_size"],
    ...unsupported,
  })
  .refine((c) => !c.split_dim || c.embedding_dim % c.n_q_tokens === 0, {
    message: "must be a multiple of n_q_tokens when split_dim is set",
    path: ["embedding_dim"],
  });

export type TokenizerConfig = z.infer<typeof tokenizerConfigSchema>;

/** Reads a `tokenizer_config` with its `vision_config` inside; throws as parseConfig does. */
export function parseTokenizerConfig(
  value: unknown,
  file = "tokenizer_config",
  onUnknown?: OnUnknown,
): TokenizerConfig {
  return parseConfig(tokenizerConfigSchema, value, file, onUnknown);
}

/** Side of the square position table. */
export function positionTableSide(config: VisionConfig): number {
  return Math.floor(config.image_size / config.patch_size);
}

/** d, the width of one code. */
export function codeWidth(config: TokenizerConfig): number {
  return config.split_dim ? config.embedding_dim / config.n_q_tokens : config.embedding_dim;
}

/** The codes of one book: S/N when each book has a slice of the table to itself. */
export function bookSize(config: TokenizerConfig): number {
  return config.codebook_size / config.split_voc;
}
