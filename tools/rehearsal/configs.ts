// The configs of the rehearsed model, as the reference writes them: at the released sizes, and at small ones with every
// architecture choice kept.
//
// Where the release does not state a size, the code's default is taken. That this is right is borne out by the published file
// sizes: with three matrices of V + S rows, all eight raw tables and the position table that nobody reads, the autoregressive
// checkpoint has 12,306,540,912 parameters: 24.6 GB in bf16, in six files of at most 5 GB, which is what was published.

/** Everything that differs between the two sizes. */
interface Widths {
  readonly text: number;
  readonly codebook: number;
  readonly codeWidth: number;
  readonly tableWidth: number;
  readonly embeddedCode: number;
  readonly encoder: {
    readonly width: number;
    readonly layers: number;
    readonly heads: number;
    readonly hidden: number;
  };
  readonly decoder: {
    readonly width: number;
    readonly layers: number;
    readonly heads: number;
    readonly kvHeads: number;
    readonly headWidth: number;
    readonly hidden: number;
  };
  readonly head: {
    readonly width: number;
    readonly heads: number;
    readonly hidden: number;
    readonly positions: number;
  };
  readonly transformer: {
    readonly width: number;
    readonly depth: number;
    readonly heads: number;
    readonly condition: number;
    readonly side: number;
  };
  /** Channels of the autoencoder's stages. */
  readonly stages: readonly [number, number, number, number, number, number];
}

export interface RehearsalConfigs {
  readonly ar: Readonly<Record<string, unknown>>;
  readonly transformer: Readonly<Record<string, unknown>>;
  readonly autoencoder: Readonly<Record<string, unknown>>;
  readonly processor: Readonly<Record<string, unknown>>;
  /** Rows of the null condition, which the released config does not tell. */
  readonly conditionRows: number;
  readonly maxShardBytes: number;
}

const BOOKS = 8;
/** Ids above the base vocabulary: 151,643 of Qwen's are words, and the table has 151,936 rows. */
export const IDS_AFTER_WORDS = 151_936 - 151_643;

/** Places of special tokens, counted from the first id after the words. */
export const specialTokens: Readonly<Record<string, number>> = {
  "<|endoftext|>": 0,
  "<|im_start|>": 1,
  "<|im_end|>": 2,
  "<|vision_start|>": 9,
  "<|vision_end|>": 10,
  "<|image_pad|>": 12,
  "<|video_pad|>": 13,
  "<|q_eos|>": 38,
};

/** preprocessor_config.json, as of the public Keye-VL. */
const processor = {
  image_processor_type: "SiglipImageProcessor",
  patch_size: 14,
  merge_size: 2,
  temporal_patch_size: 1,
  min_pixels: 3136,
  max_pixels: 1_003_520,
  image_mean: [0.5, 0.5, 0.5],
  image_std: [0.5, 0.5, 0.5],
  do_resize: true,
  do_rescale: true,
  rescale_factor: 1 / 255,
  do_normalize: true,
  do_convert_rgb: true,
};

export const releasedSizes: RehearsalConfigs = configs(
  {
    text: 151_936,
    codebook: 65_536,
    codeWidth: 128,
    tableWidth: 4096,
    embeddedCode: 1024,
    encoder: { width: 1152, layers: 27, heads: 16, hidden: 4304 },
    decoder: { width: 4096, layers: 36, heads: 32, kvHeads: 8, headWidth: 128, hidden: 12_288 },
    head: { width: 512, heads: 4, hidden: 1024, positions: 65_537 },
    transformer: { width: 2240, depth: 20, heads: 20, condition: 2304, side: 32 },
    stages: [128, 256, 512, 512, 1024, 1024],
  },
  5e9,
);

export const smallSizes: RehearsalConfigs = configs(
  {
    text: 1024,
    codebook: 256,
    codeWidth: 16,
    tableWidth: 64,
    embeddedCode: 32,
    encoder: { width: 64, layers: 2, heads: 4, hidden: 160 },
    decoder: { width: 128, layers: 2, heads: 4, kvHeads: 2, headWidth: 32, hidden: 256 },
    head: { width: 64, heads: 2, hidden: 128, positions: 257 },
    transformer: { width: 128, depth: 2, heads: 4, condition: 96, side: 4 },
    stages: [8, 16, 32, 32, 64, 64],
  },
  500_000,
);

function configs(widths: Widths, maxShardBytes: number): RehearsalConfigs {
  return {
    ar: {
      __class__: "KeyeARConfig",
      model_class: "KeyeARModel",
      qwen_config: languageModel(widths),
      tokenizer_config: tokenizer(widths),
      token_decoder_config: tokenHead(widths),
    },
    transformer: transformer(widths),
    autoencoder: autoencoder(widths),
    processor,
    conditionRows: 720,
    maxShardBytes,
  };
}

function languageModel({ text, codebook, decoder }: Widths) {
  const id = (token: keyof typeof specialTokens) => text - IDS_AFTER_WORDS + specialTokens[token]!;
  return {
    model_class: "UnifiedQwen3Model",
    vocab_size: text,
    embed_dim: decoder.width,
    num_layers: decoder.layers,
    num_heads: decoder.heads,
    num_kv_heads: decoder.kvHeads,
    head_dim: decoder.headWidth,
    intermediate_dim: decoder.hidden,
    rope_base: 1_000_000,
    norm_eps: 1e-6,
    q_norm: true,
    k_norm: true,
    q_proj_bias: false,
    k_proj_bias: false,
    v_proj_bias: false,
    tie_word_embeddings: false,
    max_seq_len: 40_960,
    attention_function: "flash_attention_2",
    attn_dropout: 0,
    eos_token_id: id("<|im_end|>"),
    vision_start_token_id: id("<|vision_start|>"),
    vision_end_token_id: id("<|vision_end|>"),
    image_token_id: id("<|image_pad|>"),
    pad_token_id: id("<|endoftext|>"),
    q_eos_token: id("<|q_eos|>"),
    codebook_size: codebook,
    n_q_tokens: BOOKS,
    skip_output_layer: false,
    token_decoder_with_teacher_forcing: true,
    output_last_hidden_states_only: false,
    pre_embedding_size: null,
    pre_embedding_tokens: null,
    use_multimodal_rope: false,
    mrope_section: null,
  };
}

function tokenizer({ codebook, codeWidth, tableWidth, embeddedCode, encoder, decoder }: Widths) {
  return {
    model_class: "KeyeImageTokenizer",
    codebook_size: codebook,
    split_voc: BOOKS,
    n_q_tokens: BOOKS,
    embedding_dim: codeWidth,
    init_embedding_dim: tableWidth,
    llm_hidden_size: decoder.width,
    output_dim: embeddedCode,
    fusion_type: "mean",
    split_dim: false,
    add_voc_reducer: false,
    vq_sampling_mode: "argmin",
    vq_temperature: 1,
    vq_temperature_decay: 0.999,
    vq_min_temperature: 0.1,
    pre_llm_align: false,
    vision_config: {
      image_size: 384,
      patch_size: 14,
      num_channels: 3,
      hidden_size: encoder.width,
      num_hidden_layers: encoder.layers,
      num_attention_heads: encoder.heads,
      intermediate_size: encoder.hidden,
      hidden_act: "gelu_pytorch_tanh",
      layer_norm_eps: 1e-6,
      rope_theta: 10_000,
      use_qk_norm: false,
      qk_norm_eps: 1e-6,
      has_learnable_position_embedding: true,
      attention_function: "flash_attention_2",
      attention_dropout: 0,
      max_seq_len: 4096,
    },
  };
}

function tokenHead({ text, head, decoder }: Widths) {
  return {
    model_class: "UnifiedTokenDecoder",
    d_model: head.width,
    nhead: head.heads,
    num_layers: 1,
    dim_feedforward: head.hidden,
    max_length: BOOKS + 1,
    max_pos_length: head.positions,
    eos_token: text - IDS_AFTER_WORDS + specialTokens["<|q_eos|>"]!,
    input_dim: decoder.width,
    reduce: true,
    attention_function: "eager",
  };
}

/** SANA 1.5 of 1.6 B parameters with Kelix's connector. */
function transformer({ transformer: { width, depth, heads, condition, side }, decoder }: Widths) {
  return {
    __class__: "SanaConfig",
    model_class: "SanaModel",
    input_size: side,
    patch_size: 1,
    in_channels: 32,
    hidden_size: width,
    depth,
    num_heads: heads,
    mlp_ratio: 2.5,
    caption_channels: condition,
    use_connector: true,
    connector_channels: decoder.width,
    model_max_length: 300,
    attn_type: "linear",
    linear_head_dim: 32,
    cross_attn_type: "flash",
    qk_norm: true,
    cross_norm: true,
    use_cross_attn_rope: true,
    use_position_scale: true,
    cross_attn_x_norm: false,
    ffn_type: "glumbconv",
    mlp_acts: ["silu", "silu", null],
    pred_sigma: false,
    use_pe: false,
    y_norm: true,
    y_norm_scale_factor: 0.01,
    norm_eps: 1e-5,
    class_dropout_prob: 0.1,
    y_embedding_init_method: "randn",
    vae_downsample_rate: 32,
    text_encoder_name: null,
    learn_sigma: false,
  };
}

/** DC-AE f32 c32, as diffusers describes SANA 1.5's. */
function autoencoder({ stages }: Widths) {
  const types = ["ResBlock", "ResBlock", "ResBlock", "EfficientViTBlock", "EfficientViTBlock", "EfficientViTBlock"];
  const scales = [[], [], [], [5], [5], [5]];
  return {
    _class_name: "AutoencoderDC",
    in_channels: 3,
    latent_channels: 32,
    attention_head_dim: Math.min(32, stages[0]),
    encoder_block_types: types,
    decoder_block_types: types,
    encoder_block_out_channels: stages,
    decoder_block_out_channels: stages,
    encoder_layers_per_block: [2, 2, 2, 3, 3, 3],
    decoder_layers_per_block: [3, 3, 3, 3, 3, 3],
    encoder_qkv_multiscales: scales,
    decoder_qkv_multiscales: scales,
    upsample_block_type: "interpolate",
    downsample_block_type: "Conv",
    decoder_norm_types: "rms_norm",
    decoder_act_fns: "silu",
    encoder_out_shortcut: true,
    decoder_in_shortcut: true,
    decoder_conv_act_fn: "relu",
    scaling_factor: 0.41407,
  };
}
