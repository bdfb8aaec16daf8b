// The deep-compression autoencoder (DC-AE, arXiv:2410.10733; diffusers' AutoencoderDC): pixels <-> latents.
// Stages of residual blocks, each at half the resolution of the one before; stage 0 is the finest.

import { ModelError } from "../errors.ts";
import {
  averageChannels,
  channelRmsNorm,
  conv,
  depthwiseConv,
  pixelShuffle,
  pixelUnshuffle,
  repeatChannels,
  upsampleNearest2,
} from "../nn/conv.ts";
import { gluMbConv } from "../nn/glumbconv.ts";
import { linearAttention, quadraticReluAttention } from "../nn/linear-attention.ts";
import { inRowBands } from "../nn/row-bands.ts";
import { init, type Params } from "../tensor/params.ts";
import { concat, type Tensor } from "../tensor/tensor.ts";
import type { AutoencoderConfig, StageConfig } from "./config.ts";

const RMS_EPS = 1e-5;
const ATTENTION_EPS = 1e-15;
/** Width of the gated convolution's inside, in multiples of its input. */
const EXPANSION = 4;
const FLOAT_BYTES = 4;
/**
 * The inside of a gated convolution is 8 times as wide as its input. Where it would pass this size it is computed in bands of
 * rows, or it alone would set the memory of the stages with attention: at 1024 pixels the last of them has 268 MB a tensor.
 */
const MAX_WIDE_BYTES = 2 ** 26;

/** Pixels in [-1, 1], [B, 3, h, w] -> latents [B, Z, h/f, w/f], not yet multiplied by the scaling factor. */
export function encode(p: Params, pixels: Tensor, config: AutoencoderConfig): Tensor {
  const at = p.at("encoder");
  const stages = config.encoder;
  const first = stages[0]!;
  let x =
    first.layers > 0
      ? conv(at.at("conv_in"), pixels, first.channels, 3)
      : down(at.at("conv_in"), pixels, stageAfter(stages).channels, config, false);
  for (const [i, stage] of stages.entries()) {
    const here = at.at("down_blocks", i);
    for (let j = 0; j < stage.layers; j++) x = block(here.at(j), x, stage, config);
    const next = stages[i + 1];
    if (next && stage.layers > 0) x = down(here.at(stage.layers), x, next.channels, config, true);
    here.mark(x);
  }
  const latents = conv(at.at("conv_out"), x, config.latentChannels, 3);
  return config.encoderOutShortcut ? latents.add(averageChannels(x, x.size(1) / config.latentChannels)) : latents;
}

/** Latents [B, Z, h, w], divided by the scaling factor -> pixels about [-1, 1], [B, 3, h*f, w*f]. */
export function decode(p: Params, latents: Tensor, config: AutoencoderConfig): Tensor {
  return decodeStages(p, latents, { first: config.decoder.length - 1, last: 0 }, config);
}

/** Consecutive stages of the decoder, which runs them from the deepest down to 0. */
export interface StageRange {
  readonly first: number;
  readonly last: number;
}

/**
 * A part of the decoder: what the stage before `first` returned -> what stage `last` returns, [B, C, h, w]. The deepest stage
 * reads latents, stage 0 returns pixels.
 */
export function decodeStages(p: Params, input: Tensor, { first, last }: StageRange, config: AutoencoderConfig): Tensor {
  const at = p.at("decoder");
  const stages = config.decoder;
  const deepest = stages.length - 1;
  let x = first === deepest ? readLatents(at, input, config) : input;
  for (let i = first; i >= last; i--) {
    const stage = stages[i]!;
    const here = at.at("up_blocks", i);
    const offset = hasUp(config, i) ? 1 : 0;
    if (offset) x = up(here.at(0), x, stage.channels, config, true);
    for (let j = 0; j < stage.layers; j++) x = block(here.at(j + offset), x, stage, config);
    here.mark(x);
  }
  return last === 0 ? givePixels(at, x, config) : x;
}

/** Whether stage i of the decoder begins by doubling the resolution. A stage without layers is skipped over. */
export function hasUp({ decoder }: AutoencoderConfig, i: number): boolean {
  return i < decoder.length - 1 && decoder[i]!.layers > 0;
}

function readLatents(p: Params, latents: Tensor, config: AutoencoderConfig): Tensor {
  const widest = config.decoder.at(-1)!.channels;
  const x = conv(p.at("conv_in"), latents, widest, 3);
  return config.decoderInShortcut ? x.add(repeatChannels(latents, widest / config.latentChannels)) : x;
}

function givePixels(p: Params, x: Tensor, config: AutoencoderConfig): Tensor {
  const activated = activate(channelRmsNorm(p.at("norm_out"), x, RMS_EPS), config.decoderConvActivation);
  return config.decoder[0]!.layers > 0
    ? conv(p.at("conv_out"), activated, config.inChannels, 3)
    : up(p.at("conv_out"), activated, config.inChannels, config, false);
}

// A first stage without layers is skipped over: conv_in halves at once, to the second stage's width.
function stageAfter(stages: readonly StageConfig[]): StageConfig {
  const second = stages[1];
  if (!second) throw new ModelError("AutoencoderDC config: the only stage has no layers");
  return second;
}

/** Half the resolution. The shortcut keeps what was there: pixels moved into channels and averaged to the new width. */
function down(p: Params, x: Tensor, out: number, config: AutoencoderConfig, hasShortcut: boolean): Tensor {
  const y =
    config.downsampling === "Conv"
      ? conv(p.at("conv"), x, out, 3, { stride: 2 })
      : pixelUnshuffle(conv(p.at("conv"), x, out / 4, 3), 2);
  return hasShortcut ? y.add(averageChannels(pixelUnshuffle(x, 2), (4 * x.size(1)) / out)) : y;
}

/** Twice the resolution. The shortcut repeats channels and moves them into pixels. */
function up(p: Params, x: Tensor, out: number, config: AutoencoderConfig, hasShortcut: boolean): Tensor {
  const y =
    config.upsampling === "interpolate"
      ? conv(p.at("conv"), upsampleNearest2(x), out, 3)
      : pixelShuffle(conv(p.at("conv"), x, out * 4, 3), 2);
  return hasShortcut ? y.add(pixelShuffle(repeatChannels(x, (4 * out) / x.size(1)), 2)) : y;
}

/** x [B, C, h, w] -> the same shape. */
function block(p: Params, x: Tensor, stage: StageConfig, config: AutoencoderConfig): Tensor {
  if (stage.type === "ResBlock") {
    const hidden = activate(conv(p.at("conv1"), x, stage.channels, 3), stage.activation);
    return x.add(
      channelRmsNorm(p.at("norm"), conv(p.at("conv2"), hidden, stage.channels, 3, { hasBias: false }), RMS_EPS),
    );
  }
  const h = x.add(multiscaleAttention(p.at("attn"), x, stage, config.headWidth));
  const at = p.at("conv_out");
  const paths = { inverted: at.at("conv_inverted"), depth: at.at("conv_depth"), point: at.at("conv_point") };
  const F = EXPANSION * stage.channels;
  const wideBytes = 2 * F * x.size(2) * x.size(3) * FLOAT_BYTES;
  const bands = Math.min(x.size(2), Math.ceil(wideBytes / MAX_WIDE_BYTES));
  const mixed = inRowBands(h, bands, 1, (band) => gluMbConv(paths, band, F));
  return h.add(channelRmsNorm(at.at("norm"), mixed, RMS_EPS));
}

/** EfficientViT's attention over q, k, v and over blurred views of them. x [B, C, h, w] -> the same shape. */
function multiscaleAttention(p: Params, x: Tensor, stage: StageConfig, E: number): Tensor {
  const [B] = x.dims(4);
  const [C, h, w] = [x.size(1), x.size(2), x.size(3)];
  const fused = ["to_q", "to_k", "to_v"].map((name) => p.at(name).get("weight", [C, C], init.lecun(C)));
  const qkv = x.conv2d(concat(fused, 0).reshape([3 * C, C, 1, 1]), null); // [B, 3C, h, w]
  const views = stage.multiscales.map((kernel, i) => {
    const at = p.at("to_qkv_multiscale", i);
    const blurred = depthwiseConv(at.at("proj_in"), qkv, kernel, false);
    return conv(at.at("proj_out"), blurred, 3 * C, 1, { groups: (3 * C) / E, hasBias: false });
  });
  // Each 3E consecutive channels become one head's q, k, v: the first heads come wholly from to_q, and so on. So it was trained.
  const attend = h * w > E ? linearAttention : quadraticReluAttention;
  const attended = [qkv, ...views].map((view) => {
    const [q, k, v] = view.reshape([B!, C / E, 3 * E, h * w]).split(2, [E, E, E]);
    return attend(q!, k!, v!, ATTENTION_EPS).reshape([B!, C, h, w]);
  });
  const joined = concat(attended, 1);
  const width = joined.size(1);
  const weight = p.at("to_out").get("weight", [C, width], init.lecun(width));
  return channelRmsNorm(p.at("norm_out"), joined.conv2d(weight.reshape([C, width, 1, 1]), null), RMS_EPS);
}

function activate(x: Tensor, name: StageConfig["activation"]): Tensor {
  return name === "relu" ? x.relu() : x.silu();
}
