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
  /** i64 [B, T]: cos and sin are [n, E/2] then, and this names the row of each position. */
  readonly rows?: Tensor;
  /** [T, C+T], [B, T, C+T] or [B, 1, 1, T, C+T], added to the scores; C is 0 without a cache. See mask.ts. */
  readonly mask: Tensor;
  /** For each layer the rotated keys and values that earlier calls added, [B, K, 1, C, E]; the mask hides what is unused. */
  readonly cache?: readonly KeyValue[];
}

export interface Decoded {
  /** The residual stream: the input, then after each layer; [B, T, D]. The last is *not* normed. */
  readonly hidden: readonly Tensor[];
  /** The rotated keys and values that each layer adds to its cache, [B, K, 1, T, E]. */
  readonly added: readonly KeyValue[];
}

/** x [B, T, D] through all layers. `p` is the trunk (`model.model`, or `model` of a plain Qwen3). */
export function decoderStack(p: Params, x: Tensor, options: DecoderOptions): Decoded {
  const { config, cache } = options;
  const [B, T, D] = x.dims(3) as [Dim, Dim, number];
  const rope: Rope = { cos: perHead(options.cos, 1), sin: perHead(options.sin, 1), rows: options.rows };
  const scale = config.head_dim ** -0.5;
  // Over a cache the queries' rotation scales them as well, which attention has an advantage of.
  const queryRope = cache ? { ...rope, cos: rope.cos.mul(scale), sin: rope.sin.mul(scale) } : rope;
  const heads = perHead(options.mask, 2);
  const G = config.num_heads / config.num_kv_heads;
  const mask = cache || G === 1 ? heads : concat(Array<Tensor>(G).fill(heads), -2); // once for each row that shares a KV head
  const hidden = [x];
  const added: KeyValue[] = [];
  // [B*T, D]: layers work on plain matrices, except where neither B nor T is known.
  let flat = typeof B === "string" && typeof T === "string" ? x : x.reshape([-1, D]);
  for (let l = 0; l < config.num_layers; l++) {
    const layer = p.at("layers", l);
    const attended = selfAttention(layer.at("attn"), rmsNorm(layer.at("sa_norm"), flat, config.norm_eps), [B, T], {
      rope,
      queryRope,
      scale: cache ? 1 : scale,
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

interface Rope {
  readonly cos: Tensor;
  readonly sin: Tensor;
  readonly rows: Tensor | undefined;
}

interface SelfAttentionOptions {
  readonly rope: Rope;
  readonly queryRope: Rope;
  readonly scale: number;
  readonly mask: Tensor;
  readonly config: DecoderConfig;
  readonly past: KeyValue | undefined;
}

/**
 * Grouped-query attention. x [B*T, D] or [B, T, D] -> the same shape. The G queries that share a KV head are rows of one product;
 * over a cache, where there are few, products of their own.
 */
function selfAttention(p: Params, x: Tensor, [B, T]: readonly [Dim, Dim], options: SelfAttentionOptions) {
  const { rope, queryRope, scale, mask, config, past } = options;
  const { num_heads: H, num_kv_heads: K, head_dim: E, embed_dim: D } = config;
  const G = H / K;
  const project = (name: "q" | "k" | "v", heads: readonly number[]) => {
    const width = heads.reduce((a, b) => a * b, E);
    const y = linear(p.at(`${name}_proj`), x, width, config[`${name}_proj_bias`], init.xavier(D, width));
    return y.reshape([B, T, ...heads, E]);
  };
  const norm = (name: "q_norm" | "k_norm", y: Tensor) => (config[name] ? rmsNorm(p.at(name), y, config.norm_eps) : y);
  const headsFirst = (y: Tensor) => y.transpose([0, 2, 1, 3]); // [B, heads, T, E]
  const q = headsFirst(norm("q_norm", project("q", [H]))).rotary(queryRope.cos, queryRope.sin, queryRope.rows);
  const k = headsFirst(norm("k_norm", project("k", [K]))).rotary(rope.cos, rope.sin, rope.rows);
  const keys = k.reshape([B, K, 1, T, E]);
  const values = project("v", [K, 1]).transpose([0, 2, 3, 1, 4]); // [B, K, 1, T, E]
  const rows = q.reshape(past ? [B, K, G, T, E] : [B, K, 1, mulDims(T, G), E]); // query heads g*G .. share KV head g
  const out = attention(rows, keys, values, { scale, mask, ...(past && { past }) });
  // The same exchange of axes, back: [B, T, K, G, E] or [B, T, H, E].
  const positionsFirst = past ? out.transpose([0, 3, 1, 2, 4]) : headsFirst(out.reshape([B, H, T, E]));
  const merged = positionsFirst.reshape([...x.shape.slice(0, -1), H * E]);
  return { output: linear(p.at("output_proj"), merged, D, false, init.xavier(H * E, D)), added: { keys, values } };
}

/** [B, T, W] -> [B, 1, .., T, W] with so many axes for heads. Tables [T, W] and those that have these axes stay as they are. */
function perHead(table: Tensor, axes: number): Tensor {
  if (table.rank !== 3) return table;
  const [B, T, W] = table.dims(3);
  return table.reshape([B!, ...Array<number>(axes).fill(1), T!, W!]);
}
