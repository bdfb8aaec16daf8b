// The condition of the diffusion transformer: hidden states of the language model -> keys and values for every block.
// Independent of latents and time, so sampling runs it once an image.

import { splitHeads } from "../nn/attention.ts";
import { linear } from "../nn/linear.ts";
import { rmsNorm } from "../nn/norm.ts";
import { init, type Params } from "../tensor/params.ts";
import type { Tensor } from "../tensor/tensor.ts";
import type { DitConfig } from "./config.ts";

/** eps of the connector's norm and of the norms on queries and keys. */
export const RMS_EPS = 1e-5;

/** Rotary tables as tensors [n, E/2]. */
export interface Rope {
  readonly cos: Tensor;
  readonly sin: Tensor;
}

/** What one block's cross-attention reads of the condition, [B, H, L, E] each. */
export interface BlockMemory {
  readonly k: Tensor;
  readonly v: Tensor;
}

/** The connector alone: hidden states of the language model [B, L, connector] -> conditions [B, L, C]. */
export function connectCondition(p: Params, y: Tensor, config: DitConfig): Tensor {
  const C = config.captionChannels;
  const connector = p.at("diffusion_connector");
  const hidden = linear(connector.at(0), y, C).geluTanh();
  return connector.mark(rmsNorm(connector.at(3), linear(connector.at(2), hidden, C), RMS_EPS, "weight"));
}

/** The null condition, all its rows [model_max_length, C]: a buffer of the checkpoint that no gradient changes. */
export function nullCondition(p: Params, config: DitConfig): Tensor {
  const C = config.captionChannels;
  const initial = config.yEmbeddingInitMethod === "zeros" ? init.zeros : init.normal(1 / Math.sqrt(C));
  return p.at("y_embedder").get("y_embedding", [config.modelMaxLength, C], initial).stopGradient();
}

/** Conditions y [B, L, C], after the connector -> what every block attends to, [B, L, D]. */
export function embedCondition(p: Params, y: Tensor, config: DitConfig): Tensor {
  const D = config.hiddenSize;
  const projection = p.at("y_embedder", "y_proj");
  const hidden = linear(projection.at("fc1"), y, D, true, init.normal(0.02)).geluTanh();
  const embedded = p.at("y_embedder").mark(linear(projection.at("fc2"), hidden, D, true, init.normal(0.02)));
  if (!config.yNorm) return embedded;
  const norm = p.at("attention_y_norm");
  return norm.mark(embedded.rmsNorm(norm.get("weight", [D], init.constant(config.yNormScaleFactor)), config.normEps));
}

/** Keys and values of every block's cross-attention for embedded conditions y [B, L, D]. */
export function crossMemory(p: Params, y: Tensor, config: DitConfig, rope?: Rope): BlockMemory[] {
  const { hiddenSize: D, numHeads: H } = config;
  return Array.from({ length: config.depth }, (_, l) => {
    const at = p.at("blocks", l, "cross_attn");
    const keys = linear(at.at("to_k"), y, D);
    const k = splitHeads(config.crossNorm ? rmsNorm(at.at("k_norm"), keys, RMS_EPS, "weight") : keys, H);
    const v = splitHeads(linear(at.at("to_v"), y, D), H);
    return { k: rope ? k.rotary(rope.cos, rope.sin) : k, v };
  });
}

/**
 * A mask of 0 and 1 as what is added to the scores: 0 and -10000. A mask of zeros alone masks nothing, as in the reference,
 * which takes it for one that has been turned already.
 */
export function attentionBias(mask: ArrayLike<number>): Float32Array {
  const values = Float32Array.from(mask);
  return values.some((value) => value !== 0) ? values.map((value) => (1 - value) * -10_000) : values;
}
