// The token head: a small causal transformer over the N+1 slots of one block, which predicts a block's sub-tokens one
// after the other from the language model's hidden state (arXiv 2602.09843). It takes that state before the final norm.

import { attention, type KeyValue, mergeHeads, splitHeads } from "../nn/attention.ts";
import { linear } from "../nn/linear.ts";
import { swiglu } from "../nn/mlp.ts";
import { layerNorm } from "../nn/norm.ts";
import { init, type Params } from "../tensor/params.ts";
import { concat, type Tensor } from "../tensor/tensor.ts";
import type { TokenHeadConfig } from "./config.ts";
import { HIDDEN } from "./mask.ts";

const EPS = 1e-5;

/**
 * The head on n slots of R blocks. s [R, n, D] -> [R, n, D]: slot 0 is fed the hidden state, slot j the embedding of
 * sub-token j-1, and what comes out at slot j scores sub-token j. With `past`, keys and values of the slots before (one
 * [R, heads, m, d/heads] pair for each layer), s holds the slots from m on.
 */
export function tokenHead(p: Params, s: Tensor, config: TokenHeadConfig, past?: readonly KeyValue[]): HeadResult {
  const [R, n, D] = [s.dim(0), s.size(1), s.size(2)];
  const { d_model: d, num_layers, max_pos_length } = config;
  const m = past?.[0]?.keys.size(2) ?? 0;
  const positions = p.at("position_embedding").get("weight", [max_pos_length, d], init.normal(0.02));
  const mask = n === 1 ? undefined : s.graph.constant(causal(n, m), [n, m + n]);
  const flat = s.reshape([-1, D]);
  const inputs = linear(p.at("input_linear"), flat, d)
    .reshape([R, n, d])
    .add(positions.slice(0, m, m + n));
  let y = inputs.reshape([-1, d]); // [R*n, d]
  const slots: KeyValue[] = [];
  for (let l = 0; l < num_layers; l++) {
    const layer = p.at("transformer", "layers", l);
    const attended = slotAttention(
      layer.at("attn"),
      layerNorm(layer.at("sa_norm"), y, EPS),
      n,
      config,
      mask,
      past?.[l],
    );
    slots.push(attended.slots);
    const h = y.add(attended.output);
    y = h.add(swiglu(layer.at("mlp"), layerNorm(layer.at("mlp_norm"), h, EPS), config.dim_feedforward));
  }
  // No norm here: `final_norm` of the checkpoints is never read.
  const output = linear(p.at("output_linear"), y, D).add(flat).reshape([R, n, D]);
  return { output, slots };
}

export interface HeadResult {
  /** [R, n, D], the head's input added. */
  readonly output: Tensor;
  /** Keys and values of all slots so far, for the next call's `past`. */
  readonly slots: readonly KeyValue[];
}

/** x [R*n, d] -> [R*n, d] */
function slotAttention(
  p: Params,
  x: Tensor,
  n: number,
  config: TokenHeadConfig,
  mask: Tensor | undefined,
  past: KeyValue | undefined,
) {
  const { d_model: d, nhead } = config;
  const project = (name: string) => splitHeads(linear(p.at(name), x, d).reshape([-1, n, d]), nhead); // [R, heads, n, d/heads]
  const [q, k, v] = [project("q_proj"), project("k_proj"), project("v_proj")];
  const slots = past
    ? { keys: concat([past.keys, k], 2), values: concat([past.values, v], 2) }
    : { keys: k, values: v };
  const out = attention(q, slots.keys, slots.values, { scale: (d / nhead) ** -0.5, ...(mask && { mask }) });
  return { output: linear(p.at("output_proj"), mergeHeads(out).reshape([-1, d]), d), slots };
}

/**
 * What the head is fed while training: hidden [R, D] of some positions and the N sub-token embeddings of the block after
 * each, [R, N, D] -> [R, N+1, D].
 */
export function teacherForced(hidden: Tensor, nextGroups: Tensor): Tensor {
  const [R, D] = hidden.dims(2);
  return concat([hidden.reshape([R!, 1, D!]), nextGroups], 1);
}

/** Slot m+i sees slots 0 .. m+i: [n, m+n]. */
function causal(n: number, m: number): Float32Array {
  return Float32Array.from({ length: n * (m + n) }, (_, i) =>
    i % (m + n) <= m + Math.floor(i / (m + n)) ? 0 : HIDDEN,
  );
}
