// The language model's trunk: Qwen3's pre-norm decoder layers. One text for training, prefill and single steps: the mask
// says who sees whom, and cached keys and values are an argument.

import { attention, type KeyValue } from "../nn/attention.ts";
import { linear } from "../nn/linear.ts";
import { swiglu } from "../nn/mlp.ts";
import { rmsNorm } from "../nn/norm.ts";
import { type Dim, mulDims } from "../tensor/dims.ts";
import { init, type Params } from "../tensor/params.ts";
import { concat, type Tensor } from "../tensor/tensor.ts";
import type { DecoderConfig } from "./config.ts";

export interface DecoderOptions {
  readonly config: DecoderConfig;
  /** [T, E/2] or [B, T, E/2]; see rotary1d. */
  readonly cos: Tensor;
  readonly sin: Tensor;
  /** [T, C+T] or [B, T, C+T], added to the scores; C is 0 without a cache. See mask.ts. */
  readonly mask: Tensor;
  /** For each layer the rotated keys and values that earlier calls added, [B, K, C, E]; the mask hides what is unused. */
  readonly cache?: readonly KeyValue[];
}

export interface Decoded {
  /** The residual stream: the input, then after each layer; [B, T, D]. The last is *not* normed. */
  readonly hidden: readonly Tensor[];
  /** The rotated keys and values that each layer adds to its cache, [B, K, T, E]. */
  readonly added: readonly KeyValue[];
}

/** x [B, T, D] through all layers. `p` is the trunk (`model.model`, or `model` of a plain Qwen3). */
export function decoderStack(p: Params, x: Tensor, options: DecoderOptions): Decoded {
  const { config, cache } = options;
  const [B, T, D] = x.dims(3) as [Dim, Dim, number];
  const rope = { cos: perHead(options.cos), sin: perHead(options.sin) };
  const mask = perGroup(options.mask, config.num_heads / config.num_kv_heads);
  const hidden = [x];
  const added: KeyValue[] = [];
  let flat = x.reshape([-1, D]); // [B*T, D]: layers work on plain matrices
  for (let l = 0; l < config.num_layers; l++) {
    const layer = p.at("layers", l);
    const attended = selfAttention(layer.at("attn"), rmsNorm(layer.at("sa_norm"), flat, config.norm_eps), [B, T], {
      ...rope,
      mask,
      config,
      past: cache?.[l],
    });
    added.push(attended.added);
    const h = flat.add(attended.output);
    flat = h.add(swiglu(layer.at("mlp"), rmsNorm(layer.at("mlp_norm"), h, config.norm_eps), config.intermediate_dim));
    hidden.push(flat.reshape([B, T, D]));
  }
  return { hidden, added };
}

interface SelfAttentionOptions {
  readonly cos: Tensor;
  readonly sin: Tensor;
  readonly mask: Tensor;
  readonly config: DecoderConfig;
  readonly past: KeyValue | undefined;
}

/** Grouped-query attention. x [B*T, D] -> [B*T, D]. The queries that share a KV head are stacked as rows of one product. */
function selfAttention(p: Params, x: Tensor, [B, T]: readonly [Dim, Dim], options: SelfAttentionOptions) {
  const { cos, sin, mask, config, past } = options;
  const { num_heads: H, num_kv_heads: K, head_dim: E, embed_dim: D } = config;
  const project = (name: "q" | "k" | "v", heads: number) => {
    const y = linear(p.at(`${name}_proj`), x, heads * E, config[`${name}_proj_bias`], init.xavier(D, heads * E));
    return y.reshape([B, T, heads, E]);
  };
  const norm = (name: "q_norm" | "k_norm", y: Tensor) => (config[name] ? rmsNorm(p.at(name), y, config.norm_eps) : y);
  const headsFirst = (y: Tensor) => y.transpose([0, 2, 1, 3]); // [B, heads, T, E]
  const q = headsFirst(norm("q_norm", project("q", H))).rotary(cos, sin);
  const keys = headsFirst(norm("k_norm", project("k", K))).rotary(cos, sin);
  const values = headsFirst(project("v", K));
  const rows = q.reshape([B, K, mulDims(T, H / K), E]); // query heads g*H/K .. share KV head g
  const out = attention(rows, keys, values, { scale: E ** -0.5, mask, ...(past && { past }) });
  const merged = headsFirst(out.reshape([B, H, T, E])).reshape([-1, H * E]); // the same exchange of axes, back
  return { output: linear(p.at("output_proj"), merged, D, false, init.xavier(H * E, D)), added: { keys, values } };
}

/** [T, W] or [B, T, W] -> with an axis of size 1 for the heads. */
function perHead(table: Tensor): Tensor {
  if (table.rank === 2) return table;
  const [B, T, W] = table.dims(3);
  return table.reshape([B!, 1, T!, W!]);
}

/** The mask once for each query head that shares a KV head: [.., T, C+T] -> [.., 1, G*T, C+T] */
function perGroup(mask: Tensor, groups: number): Tensor {
  const heads = perHead(mask);
  return groups === 1 ? heads : concat(Array<Tensor>(groups).fill(heads), -2);
}
