// The released networks' configs: the diffusion transformer of Kelix-DiT (SANA-1.5 1.6B with a connector) and SANA-1.5's DC-AE,
// as far as they are known; and smaller ones of the same structure. For plans, tests and documents.

/** config.json of the transformer: the defaults of SanaConfig and what the published scripts set. */
export const releasedTransformer = {
  use_connector: true,
  connector_channels: 4096,
  model_max_length: 720,
  qk_norm: true,
  cross_norm: true,
} as const;

const stages = ["ResBlock", "ResBlock", "ResBlock", "EfficientViTBlock", "EfficientViTBlock", "EfficientViTBlock"];

/** config.json of the autoencoder. */
export const releasedAutoencoder = {
  encoder_block_types: stages,
  decoder_block_types: stages,
  encoder_layers_per_block: [2, 2, 2, 3, 3, 3],
  upsample_block_type: "interpolate",
  downsample_block_type: "Conv",
  scaling_factor: 0.41407,
} as const;

/** The transformer a 70th as wide and with 2 blocks: 2 linear heads of 16, cross-attention with positions. */
export const smallTransformer = {
  ...releasedTransformer,
  input_size: 4,
  in_channels: 8,
  hidden_size: 32,
  depth: 2,
  num_heads: 2,
  linear_head_dim: 16,
  caption_channels: 24,
  connector_channels: 40,
  model_max_length: 20,
  use_cross_attn_rope: true,
  use_position_scale: true,
} as const;

/** The autoencoder with narrow stages of one block: still 32 pixels for a latent, attention in its three deep stages. */
export const smallAutoencoder = {
  ...releasedAutoencoder,
  latent_channels: 8,
  attention_head_dim: 8,
  encoder_block_out_channels: [8, 8, 8, 16, 16, 16],
  decoder_block_out_channels: [8, 8, 8, 16, 16, 16],
  encoder_layers_per_block: [1, 1, 1, 1, 1, 1],
  decoder_layers_per_block: [1, 1, 1, 1, 1, 1],
} as const;
