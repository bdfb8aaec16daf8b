// Settings of the detokenizer's two networks, read from the config.json beside their weights and checked:
// the diffusion transformer (SanaConfig of the reference) and the DC-AE (diffusers AutoencoderDC).

import * as z from "zod";
import { ignored, type OnUnknown, parseConfig } from "../checkpoint/parse-config.ts";

// Far above any published model, low enough that a hostile config cannot make tracing run for hours.
const MAX_WIDTH = 65_536;
const MAX_DEPTH = 512;
const MAX_CONDITION_LENGTH = 65_536;
/** Latents a side: eight times those of an image of 1024 pixels. */
const MAX_INPUT_SIDE = 256;
/** Of an autoencoder: each halves the image. */
const MAX_STAGES = 10;
/** Of all stages together. */
const MAX_LAYERS = 128;

const width = z.int().min(1).max(MAX_WIDTH);
const flag = z.boolean();

const ditSchema = z
  .strictObject({
    input_size: z.int().min(1).max(MAX_INPUT_SIDE).default(32),
    patch_size: z.int().min(1).max(64).default(1),
    in_channels: width.default(32),
    hidden_size: width.default(2240),
    depth: z.int().min(1).max(MAX_DEPTH).default(20),
    num_heads: width.default(20),
    mlp_ratio: z.number().positive().max(64).default(2.5),
    caption_channels: width.default(2304),
    use_connector: flag.default(false),
    connector_channels: width.nullish(),
    model_max_length: z.int().min(1).max(MAX_CONDITION_LENGTH).default(300),
    attn_type: z.enum(["linear", "flash"]).default("linear"),
    linear_head_dim: width.default(32),
    qk_norm: flag.default(false),
    cross_norm: flag.default(false),
    use_cross_attn_rope: flag.default(false),
    use_position_scale: flag.default(false),
    cross_attn_x_norm: flag.default(false),
    ffn_type: z.enum(["glumbconv", "mlp"]).default("glumbconv"),
    // No model of the family uses other activations; a config that asks for one is rejected rather than misread.
    mlp_acts: z.tuple([z.literal("silu"), z.literal("silu"), z.null()]).default(["silu", "silu", null]),
    pred_sigma: flag.default(false),
    use_pe: flag.default(false),
    pe_interpolation: z.number().min(1e-6).max(1e6).default(1),
    y_norm: flag.default(true),
    y_norm_scale_factor: z.number().min(-1e6).max(1e6).default(0.01),
    norm_eps: z.number().min(1e-30).max(1).default(1e-5),
    class_dropout_prob: z.number().min(0).max(1).default(0.1),
    y_embedding_init_method: z.enum(["randn", "zeros"]).default("randn"),
    vae_downsample_rate: width.default(32),
    // No bearing on the values: names of other networks, training-time dropout, and fields that nothing reads.
    __class__: z.literal("SanaConfig").optional(),
    model_class: ignored,
    cross_attn_type: ignored,
    drop_path: ignored,
    learn_sigma: ignored,
    text_encoder_name: ignored,
    vae_type: ignored,
    vae_pretrained: ignored,
    attention_function: ignored,
    use_gradient_checkpointing: ignored,
  })
  .superRefine((config, issues) => {
    const wants = (fits: boolean, message: string) => {
      if (!fits) issues.addIssue({ code: "custom", message });
    };
    const { hidden_size: D, num_heads: H } = config;
    wants(D % H === 0, `hidden_size ${D} is not a multiple of num_heads ${H}`);
    wants(
      config.attn_type !== "linear" || D % config.linear_head_dim === 0,
      "hidden_size is not a multiple of linear_head_dim",
    );
    wants(
      !config.use_cross_attn_rope || (D / H) % 4 === 0,
      `2-D positions need a head width that is a multiple of 4, got ${D / H}`,
    );
    wants(!config.use_pe || D % 4 === 0, `use_pe needs a hidden_size that is a multiple of 4, got ${D}`);
    wants(Math.floor(D * config.mlp_ratio) >= 1, `mlp_ratio ${config.mlp_ratio} leaves the feed-forward no width`);
    wants(config.input_size % config.patch_size === 0, "input_size is not a multiple of patch_size");
    wants(!config.use_connector || config.connector_channels != null, "use_connector needs connector_channels");
  })
  .transform(camelKeys);

/** Rows and columns of latents. */
export type LatentGrid = readonly [number, number];

export type DitConfig = z.output<typeof ditSchema>;

/** Reads a SanaConfig. Absent fields take the reference's defaults. Throws as parseConfig does. */
export function parseDitConfig(json: unknown, file = "SanaConfig", onUnknown?: OnUnknown): DitConfig {
  return parseConfig(ditSchema, json, file, onUnknown);
}

const blockType = z.enum(["ResBlock", "EfficientViTBlock"]);
const list = <T extends z.ZodType>(item: T) => z.array(item).min(1).max(MAX_STAGES);
const layers = list(z.int().min(0).max(MAX_LAYERS)).refine(
  (counts) => counts.reduce((a, b) => a + b, 0) <= MAX_LAYERS,
  `must not have more than ${MAX_LAYERS} layers in all`,
);
const scales = z
  .array(
    z
      .int()
      .min(1)
      .max(31)
      .refine((kernel) => kernel % 2 === 1, "kernels must be odd"),
  )
  .max(4);
const activation = z.enum(["silu", "relu"]);
const norm = z.literal("rms_norm");

const autoencoderSchema = z
  .strictObject({
    in_channels: width.default(3),
    latent_channels: width.default(32),
    attention_head_dim: width.default(32),
    encoder_block_types: z.union([blockType, list(blockType)]).default("ResBlock"),
    decoder_block_types: z.union([blockType, list(blockType)]).default("ResBlock"),
    encoder_block_out_channels: list(width).default([128, 256, 512, 512, 1024, 1024]),
    decoder_block_out_channels: list(width).default([128, 256, 512, 512, 1024, 1024]),
    encoder_layers_per_block: layers.default([2, 2, 2, 3, 3, 3]),
    decoder_layers_per_block: layers.default([3, 3, 3, 3, 3, 3]),
    encoder_qkv_multiscales: list(scales).default([[], [], [], [5], [5], [5]]),
    decoder_qkv_multiscales: list(scales).default([[], [], [], [5], [5], [5]]),
    upsample_block_type: z.enum(["interpolate", "pixel_shuffle"]).default("pixel_shuffle"),
    downsample_block_type: z.enum(["Conv", "pixel_unshuffle"]).default("pixel_unshuffle"),
    decoder_norm_types: z.union([norm, list(norm)]).default("rms_norm"),
    decoder_act_fns: z.union([activation, list(activation)]).default("silu"),
    encoder_out_shortcut: flag.default(true),
    decoder_in_shortcut: flag.default(true),
    decoder_conv_act_fn: activation.default("relu"),
    scaling_factor: z.number().min(1e-6).max(1e6).default(1),
    _class_name: z.literal("AutoencoderDC").optional(),
    _diffusers_version: ignored,
    _name_or_path: ignored,
  })
  .transform((config, issues) => {
    const side = (name: "encoder" | "decoder"): StageConfig[] => {
      const widths = config[`${name}_block_out_channels`];
      const fits = (what: string, values: readonly unknown[]) => {
        if (values.length === widths.length) return;
        const message = `${name}_${what} has ${values.length} entries for ${widths.length} stages`;
        issues.addIssue({ code: "custom", message });
      };
      const spread = <T>(what: string, value: T | T[]): T[] => {
        const values = Array.isArray(value) ? value : widths.map(() => value);
        fits(what, values);
        return values;
      };
      const types = spread("block_types", config[`${name}_block_types`]);
      const acts = name === "decoder" ? spread("act_fns", config.decoder_act_fns) : widths.map(() => "silu" as const);
      const depths = config[`${name}_layers_per_block`];
      const multiscales = config[`${name}_qkv_multiscales`];
      fits("layers_per_block", depths);
      fits("qkv_multiscales", multiscales);
      return widths.map((channels, i) => {
        const type = types[i] ?? "ResBlock";
        const head = config.attention_head_dim;
        if (type === "EfficientViTBlock" && channels % head !== 0) {
          issues.addIssue({
            code: "custom",
            message: `${name} stage ${i}: ${channels} channels are no multiple of attention_head_dim ${head}`,
          });
        }
        return {
          channels,
          layers: depths[i] ?? 0,
          type,
          multiscales: multiscales[i] ?? [],
          activation: acts[i] ?? "silu",
        };
      });
    };
    return {
      inChannels: config.in_channels,
      latentChannels: config.latent_channels,
      headWidth: config.attention_head_dim,
      encoder: side("encoder"),
      decoder: side("decoder"),
      upsampling: config.upsample_block_type,
      downsampling: config.downsample_block_type,
      encoderOutShortcut: config.encoder_out_shortcut,
      decoderInShortcut: config.decoder_in_shortcut,
      decoderConvActivation: config.decoder_conv_act_fn,
      scalingFactor: config.scaling_factor,
    };
  });

/** One resolution of the autoencoder. Stage 0 is the finest. */
export interface StageConfig {
  readonly channels: number;
  readonly layers: number;
  readonly type: z.output<typeof blockType>;
  /** Kernel sizes of the extra views that attention takes of q, k, v. */
  readonly multiscales: readonly number[];
  readonly activation: z.output<typeof activation>;
}

export type AutoencoderConfig = z.output<typeof autoencoderSchema>;

/** Reads the config.json of a diffusers AutoencoderDC, with the defaults of diffusers and one entry a stage. Throws as parseConfig does. */
export function parseAutoencoderConfig(
  json: unknown,
  file = "AutoencoderDC config",
  onUnknown?: OnUnknown,
): AutoencoderConfig {
  return parseConfig(autoencoderSchema, json, file, onUnknown);
}

/** Pixels a side that one latent position stands for. A first stage without layers halves all the same. */
export function pixelsPerLatent(config: AutoencoderConfig): number {
  return 2 ** (config.encoder.length - 1);
}

type CamelKey<S extends string> = S extends `${infer A}_${infer B}` ? `${A}${Capitalize<CamelKey<B>>}` : S;

/** snake_case keys of a file as camelCase. */
function camelKeys<T extends object>(value: T): { readonly [K in keyof T as CamelKey<K & string>]: T[K] } {
  const entries = Object.entries(value).map(([key, v]) => [
    key.replace(/_(\w)/g, (_, c: string) => c.toUpperCase()),
    v,
  ]);
  // The mapped type says in types what the line above does to the keys.
  return Object.fromEntries(entries) as { readonly [K in keyof T as CamelKey<K & string>]: T[K] };
}
