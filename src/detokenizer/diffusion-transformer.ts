// SANA's diffusion transformer (arXiv:2410.10629): noisy latents, a time and a condition -> the velocity of the flow.
// In two parts, so that sampling runs the first once an image: the condition's keys and values, then a step of the transformer.

import { attention, mergeHeads, splitHeads } from "../nn/attention.ts";
import { gluMbConv } from "../nn/glumbconv.ts";
import { linear } from "../nn/linear.ts";
import { linearAttention } from "../nn/linear-attention.ts";
import { layerNorm, rmsNorm } from "../nn/norm.ts";
import { init, type Params } from "../tensor/params.ts";
import type { Tensor } from "../tensor/tensor.ts";
import { type BlockMemory, RMS_EPS, type Rope } from "./condition.ts";
import type { DitConfig } from "./config.ts";
import { sinCosPositions } from "./positions.ts";
import { timestepEmbedding } from "./timestep.ts";

const LAYER_NORM_EPS = 1e-6;
const LINEAR_ATTENTION_EPS = 1e-8;

export interface VelocityInputs {
  /** Latents [B, in, h, w], h and w fixed. */
  readonly x: Tensor;
  /** [B], 0 to 1000. */
  readonly timestep: Tensor;
  readonly memory: readonly BlockMemory[];
  /** Added to the scores of cross-attention, [B, L]: see attentionBias. */
  readonly bias: Tensor;
  readonly rope?: Rope | undefined;
}

/** One evaluation of the transformer: the velocity [B, out, h, w]; out is twice `in` when the model also predicts a sigma. */
export function predictVelocity(p: Params, inputs: VelocityInputs, config: DitConfig): Tensor {
  const { hiddenSize: D, patchSize: patch } = config;
  const B = inputs.x.dim(0);
  const [rows, columns] = [inputs.x.size(2) / patch, inputs.x.size(3) / patch];
  let x = p.at("x_embedder").mark(embedPatches(p.at("x_embedder", "proj"), inputs.x, config));
  if (config.usePe) {
    const table = sinCosPositions(rows, columns, D, config.inputSize / patch, config.peInterpolation);
    x = x.add(x.graph.constant(table, [rows * columns, D]));
  }
  const time = p.at("t_embedder").mark(timestepEmbedding(p.at("t_embedder"), inputs.timestep, D)); // [B, D]
  const modulation = p.at("t_block").mark(linear(p.at("t_block", 1), time.silu(), 6 * D, true, init.normal(0.02)));
  const bias = inputs.bias.reshape([B, 1, 1, inputs.bias.dim(1)]);
  for (let l = 0; l < config.depth; l++) {
    const memory = inputs.memory[l];
    if (!memory) throw new Error(`predictVelocity: ${inputs.memory.length} memories for ${config.depth} blocks`);
    const cross = { memory, bias, rope: inputs.rope };
    const here = p.at("blocks", l);
    x = here.mark(block(here, x, modulation.reshape([B, 6, D]), cross, [rows, columns], config));
  }
  const last = p.at("final_layer");
  const table = last.get("scale_shift_table", [2, D], init.normal(1 / Math.sqrt(D)));
  // The final layer is modulated by the time embedding itself, not by its expansion.
  const [shift, scale] = table.add(time.reshape([B, 1, D])).split(1, [1, 1]);
  const out = config.inChannels * (config.predSigma ? 2 : 1);
  x = linear(last.at("linear"), modulate(x, shift!, scale!), patch * patch * out); // [B, n, p*p*out]
  return x
    .reshape([B, rows, columns, patch, patch, out])
    .transpose([0, 5, 1, 3, 2, 4])
    .reshape([B, out, rows * patch, columns * patch]);
}

interface CrossInputs {
  readonly memory: BlockMemory;
  readonly bias: Tensor;
  readonly rope?: Rope | undefined;
}

/** x [B, n, D], modulation [B, 6, D] -> [B, n, D] */
function block(p: Params, x: Tensor, modulation: Tensor, cross: CrossInputs, grid: Grid, config: DitConfig): Tensor {
  const D = config.hiddenSize;
  const table = p.get("scale_shift_table", [6, D], init.normal(1 / Math.sqrt(D)));
  const [shiftA, scaleA, gateA, shiftF, scaleF, gateF] = table.add(modulation).split(1, [1, 1, 1, 1, 1, 1]);
  const [attn, crossAttn, mlp] = [p.at("attn"), p.at("cross_attn"), p.at("mlp")];
  const attended = attn.mark(selfAttention(attn, modulate(x, shiftA!, scaleA!), config));
  let h = x.add(gateA!.mul(attended));
  const query = config.crossAttnXNorm ? h.layerNorm(null, null, LAYER_NORM_EPS) : h;
  h = h.add(crossAttn.mark(crossAttention(crossAttn, query, cross, config)));
  const fed = mlp.mark(feedForward(mlp, modulate(h, shiftF!, scaleF!), grid, config));
  return h.add(gateF!.mul(fed));
}

type Grid = readonly [number, number];

function modulate(x: Tensor, shift: Tensor, scale: Tensor): Tensor {
  return x.layerNorm(null, null, LAYER_NORM_EPS).mul(scale.add(1)).add(shift);
}

function selfAttention(p: Params, x: Tensor, config: DitConfig): Tensor {
  const [B, n] = x.dims(3);
  const D = config.hiddenSize;
  const isLinear = config.attnType === "linear";
  const project = (name: string) => linear(p.at(name), x, D, !isLinear);
  const normed = (name: string, q: Tensor) => {
    if (!config.qkNorm) return q;
    return isLinear ? rmsNorm(p.at(name), q, RMS_EPS, "weight") : layerNorm(p.at(name), q, RMS_EPS);
  };
  const [q, k, v] = [normed("q_norm", project("to_q")), normed("k_norm", project("to_k")), project("to_v")];
  if (!isLinear) {
    const H = config.numHeads;
    const heads = attention(splitHeads(q, H), splitHeads(k, H), splitHeads(v, H), { scale: (D / H) ** -0.5 });
    return linear(p.at("proj"), mergeHeads(heads), D);
  }
  const E = config.linearHeadDim;
  const columns = (tensor: Tensor) => tensor.transpose([0, 2, 1]).reshape([B!, D / E, E, n!]);
  const heads = linearAttention(columns(q), columns(k), columns(v), LINEAR_ATTENTION_EPS); // [B, heads, E, n]
  return linear(p.at("proj"), heads.reshape([B!, D, n!]).transpose([0, 2, 1]), D);
}

function crossAttention(p: Params, x: Tensor, { memory, bias, rope }: CrossInputs, config: DitConfig): Tensor {
  const { hiddenSize: D, numHeads: H } = config;
  const queries = linear(p.at("q_linear"), x, D);
  const q = splitHeads(config.crossNorm ? rmsNorm(p.at("q_norm"), queries, RMS_EPS, "weight") : queries, H);
  const turned = rope ? q.rotary(rope.cos, rope.sin) : q;
  const heads = attention(turned, memory.k, memory.v, { scale: (D / H) ** -0.5, mask: bias });
  return linear(p.at("proj"), mergeHeads(heads), D);
}

function feedForward(p: Params, x: Tensor, [rows, columns]: Grid, config: DitConfig): Tensor {
  const [B, n] = x.dims(3);
  const D = config.hiddenSize;
  const F = Math.floor(D * config.mlpRatio);
  if (config.ffnType === "mlp") return linear(p.at("fc2"), linear(p.at("fc1"), x, F).geluTanh(), D);
  const image = x.transpose([0, 2, 1]).reshape([B!, D, rows, columns]);
  const paths = {
    inverted: p.at("inverted_conv", "conv"),
    depth: p.at("depth_conv", "conv"),
    point: p.at("point_conv", "conv"),
  };
  return gluMbConv(paths, image, F).reshape([B!, D, n!]).transpose([0, 2, 1]);
}

/** Latents [B, in, h, w] -> patches row by row [B, n, D]. */
function embedPatches(p: Params, x: Tensor, config: DitConfig): Tensor {
  const { patchSize: patch, inChannels: C, hiddenSize: D } = config;
  const B = x.dim(0);
  const [rows, columns] = [x.size(2) / patch, x.size(3) / patch];
  if (!Number.isInteger(rows) || !Number.isInteger(columns)) {
    throw new Error(`Latents of ${x.size(2)} x ${x.size(3)} cannot be cut into patches of ${patch}`);
  }
  const inside = C * patch * patch;
  const weight = p.get("weight", [D, C, patch, patch], init.lecun(inside));
  const patches = x
    .reshape([B, C, rows, patch, columns, patch])
    .transpose([0, 2, 4, 1, 3, 5])
    .reshape([B, rows * columns, inside]);
  return patches.linear(weight.reshape([D, inside]), p.get("bias", [D], init.zeros));
}
