// The vision encoder: a SigLIP transformer at native resolution (NaViT, arXiv:2307.06304) with two-dimensional rotary
// positions. Patches of one or several images [P, C*p*p] -> features [P, D], both in raster order.

import { attention, mergeHeads, splitHeads } from "../nn/attention.ts";
import { linear } from "../nn/linear.ts";
import { activation, mlp } from "../nn/mlp.ts";
import { layerNorm, rmsNorm } from "../nn/norm.ts";
import { type Dim, mulDims } from "../tensor/dims.ts";
import { init, type Params } from "../tensor/params.ts";
import { concat, type Tensor } from "../tensor/tensor.ts";
import { positionTableSide, type VisionConfig } from "./config.ts";
import type { ImageGroup, VisionLayout } from "./layout.ts";

/** Encodes images. pixels [P, C*p*p]: each patch by channel, row, column, values in -1 .. 1. -> features [P, D] */
export function visionEncoder(p: Params, pixels: Tensor, layout: VisionLayout, config: VisionConfig): Tensor {
  const [patch, position] = [p.at("embeddings", "patch_embedding"), p.at("embeddings", "position_embedding")];
  let x = patch.mark(patchEmbedding(patch, pixels, config));
  if (config.has_learnable_position_embedding) x = x.add(position.mark(positionEmbedding(position, layout, config)));
  p.at("embeddings").mark(x);
  for (let l = 0; l < config.num_hidden_layers; l++) {
    const layer = p.at("encoder", "layers", l);
    x = layer.mark(encoderLayer(layer, x, layout, config));
  }
  return layerNorm(p.at("ln_post"), x, config.layer_norm_eps);
}

/** The checkpoint stores a convolution; with the kernel as wide as its stride it is a matrix. */
function patchEmbedding(p: Params, pixels: Tensor, config: VisionConfig): Tensor {
  const { hidden_size: D, num_channels: C, patch_size: side } = config;
  const fanIn = C * side * side;
  const weight = p.get("weight", [D, C, side, side], init.lecun(fanIn)).reshape([D, fanIn]);
  return pixels.linear(weight, p.get("bias", [D], init.zeros));
}

/** The position table brought to each image's grid. -> [P, D] */
function positionEmbedding(p: Params, layout: VisionLayout, config: VisionConfig): Tensor {
  const D = config.hidden_size;
  const table = p.get("weight", [positionTableSide(config) ** 2, D], init.normal(0.02));
  const rows = layout.groups.map(({ corners, weights, patches, images }) => {
    if (!corners || !weights) throw new Error("visionEncoder: the layout was made without a position table");
    const one = table
      .gather(corners) // [P, 4, D]
      .mul(weights.reshape([patches, 4, 1]))
      .sum([1]);
    return images === 1 ? one : one.reshape([1, patches, D]).expand([images, patches, D]).reshape([-1, D]);
  });
  return joinRows(rows);
}

/** One pre-norm layer. x [P, D] -> [P, D] */
function encoderLayer(p: Params, x: Tensor, layout: VisionLayout, config: VisionConfig): Tensor {
  const { layer_norm_eps: eps, intermediate_size: F } = config;
  const h = x.add(selfAttention(p.at("attn"), layerNorm(p.at("sa_norm"), x, eps), layout, config));
  return h.add(mlp(p.at("mlp"), layerNorm(p.at("mlp_norm"), h, eps), F, activation(config.hidden_act)));
}

/** Full attention inside each image. x [P, D] -> [P, D] */
function selfAttention(p: Params, x: Tensor, layout: VisionLayout, config: VisionConfig): Tensor {
  const { hidden_size: D, num_attention_heads: H } = config;
  const xavier = init.xavier(D, D);
  const project = (name: string, y: Tensor) => linear(p.at(name), y, D, true, xavier);
  const [q, k, v] = (["q_proj", "k_proj", "v_proj"] as const).map((name) => splitGroups(project(name, x), layout));
  const turn = (name: string, y: Tensor, group: ImageGroup) => {
    const turned = splitHeads(y, H).rotary(group.cos, group.sin); // [images, H, P, E]
    // Unlike the language model's, these norms come after the rotation.
    return config.use_qk_norm ? rmsNorm(p.at(name), turned, config.qk_norm_eps) : turned;
  };
  const attended = layout.groups.map((group, i) => {
    const out = attention(turn("q_norm", q![i]!, group), turn("k_norm", k![i]!, group), splitHeads(v![i]!, H), {
      scale: (D / H) ** -0.5,
    });
    return mergeHeads(out).reshape([mulDims(group.patches, group.images), D]);
  });
  return project("output_proj", joinRows(attended));
}

/** Rows of packed images [P, D] -> for each group [images, patches, D] */
function splitGroups(x: Tensor, layout: VisionLayout): Tensor[] {
  const D = x.dim(-1);
  const batch = (rows: Tensor, { images, patches }: ImageGroup) => rows.reshape([images, patches, D] as Dim[]);
  const first = layout.groups[0]!;
  if (layout.groups.length === 1) return [batch(x, first)];
  const sizes = layout.groups.map(({ images, patches }) => {
    if (typeof patches !== "number")
      throw new Error(`Several groups of images need fixed sizes, got ${patches} patches`);
    return images * patches;
  });
  return x.split(0, sizes).map((rows, i) => batch(rows, layout.groups[i]!));
}

function joinRows(parts: readonly Tensor[]): Tensor {
  return parts.length === 1 ? parts[0]! : concat([...parts], 0);
}
