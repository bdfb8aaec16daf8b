// Training of the diffusion transformer: 6 blocks of width 256 on two images of 32 x 32 latents and 128 conditions.

import { attentionBias } from "../../src/detokenizer/condition.ts";
import { parseDitConfig } from "../../src/detokenizer/config.ts";
import { counterRandom } from "../../src/random/counter.ts";
import { f32, type HostTensor } from "../../src/runtime/host-tensor.ts";
import type { Graph } from "../../src/tensor/graph.ts";
import { traceFlowLoss } from "../../src/train/loss/flow-loss.ts";
import type { TracedLoss } from "../../src/train/train-graph.ts";
import type { Benchmark } from "./benchmark.ts";
import { openTraining } from "./training.ts";

const [B, SIDE, CONDITIONS, WIDTH] = [2, 32, 128, 256] as const;
/** Conditions of the first image that count; the second has all. */
const FIRST_CONDITIONS = 100;

const config = parseDitConfig({
  input_size: SIDE,
  hidden_size: WIDTH,
  depth: 6,
  num_heads: 8,
  caption_channels: WIDTH,
  use_connector: true,
  connector_channels: WIDTH,
  model_max_length: CONDITIONS,
  qk_norm: true,
  cross_norm: true,
});
const latents = [B, config.inChannels, SIDE, SIDE];
const conditions = [B, CONDITIONS, WIDTH];

export const diffusionTraining: Benchmark = {
  name: "train-dit-h256-d6-lat32x32-b2",
  about: "diffusion transformer: width 256, 6 blocks; two images of 32 x 32 latents, 128 conditions each",
  open: (options) =>
    openTraining(
      {
        trace: traceFlow,
        feeds: {
          x0: normal("x0", latents),
          noise: normal("noise", latents),
          sigma: f32([0.137, 0.802], [B]),
          y: normal("y", conditions),
          bias: f32(
            attentionBias(
              Float32Array.from({ length: B * CONDITIONS }, (_, i) =>
                i < FIRST_CONDITIONS || i >= CONDITIONS ? 1 : 0,
              ),
            ),
            [B, CONDITIONS],
          ),
        },
        units: { patches: B * SIDE * SIDE },
      },
      options,
    ),
};

function traceFlow(graph: Graph): TracedLoss {
  const condition = { y: graph.input("y", conditions), bias: graph.input("bias", [B, CONDITIONS]) };
  return { loss: traceFlowLoss(graph, latents, condition, config) };
}

function normal(stream: string, shape: readonly number[]): HostTensor {
  return f32(counterRandom(0, stream).fillNormal(new Float32Array(shape.reduce((a, b) => a * b, 1))), shape);
}
