// The fields of the reference's config classes, as its own writer writes them. Its reader rejects others.

/** Names of fields; under the name of one that is an object, its fields. */
interface Fields {
  readonly names: readonly string[];
  readonly inner?: Readonly<Record<string, Fields>>;
}

const words = (text: string) => text.trim().split(/\s+/);

const qwen: Fields = {
  names:
    words(`model_class vocab_size embed_dim num_layers tie_word_embeddings hidden_act num_heads num_kv_heads head_dim attn_dropout
    attention_function q_proj_bias k_proj_bias v_proj_bias attention_bias intermediate_dim max_seq_len rope_base rope_impl rope_theta
    rope_scaling use_sliding_window sliding_window norm_eps rms_norm_eps q_norm k_norm eos_token_id use_multimodal_rope mrope_section
    pre_embedding_size pre_embedding_tokens image_token_id pad_token_id q_eos_token vision_start_token_id vision_end_token_id
    output_last_hidden_states_only token_decoder_with_teacher_forcing codebook_size n_q_tokens skip_output_layer`),
};
const vision: Fields = {
  names:
    words(`model_class image_size patch_size num_channels hidden_size num_hidden_layers num_attention_heads intermediate_size
    hidden_act max_seq_len layer_norm_eps attention_dropout has_learnable_position_embedding use_qk_norm qk_norm_eps rope_theta
    attention_function output_attentions output_hidden_states`),
};
const tokenizer: Fields = {
  names:
    words(`model_class codebook_size embedding_dim init_embedding_dim llm_hidden_size n_q_tokens split_dim split_voc add_voc_reducer
    vq_sampling_mode vq_temperature vq_temperature_decay vq_min_temperature pre_llm_align output_dim fusion_type`),
  inner: { vision_config: vision },
};
const head: Fields = {
  names: words(`model_class vocab_size max_pos_length max_length d_model eos_token nhead num_layers dim_feedforward
    use_gradient_checkpointing input_dim reduce attention_function`),
};

export const referenceFields = {
  ar: {
    names: words("__class__ model_class"),
    inner: { qwen_config: qwen, tokenizer_config: tokenizer, token_decoder_config: head },
  },
  dit: {
    names:
      words(`__class__ model_class input_size patch_size in_channels hidden_size depth num_heads mlp_ratio caption_channels
      model_max_length attn_type cross_attn_type linear_head_dim qk_norm cross_norm use_cross_attn_rope use_position_scale
      cross_attn_x_norm ffn_type mlp_acts pred_sigma learn_sigma use_pe pe_interpolation y_norm y_norm_scale_factor norm_eps
      class_dropout_prob drop_path vae_type vae_pretrained vae_downsample_rate text_encoder_name y_embedding_init_method use_connector
      connector_channels`),
  },
} as const satisfies Record<string, Fields>;

/** A config with the fields that the reference knows, in its order. */
export function knownFields(config: object, { names, inner = {} }: Fields): Record<string, unknown> {
  const own = config as Readonly<Record<string, unknown>>;
  const known = names.flatMap((name) => (own[name] === undefined ? [] : [[name, own[name]] as const]));
  const nested = Object.entries(inner).flatMap(([name, fields]) =>
    own[name] === undefined ? [] : [[name, knownFields(own[name] as object, fields)] as const],
  );
  return Object.fromEntries([...known, ...nested]);
}
