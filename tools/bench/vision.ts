// Training of the vision encoder on one image of 32 x 32 patches: 6 layers of width 256.

import { counterRandom } from "../../src/random/counter.ts";
import { f32 } from "../../src/runtime/host-tensor.ts";
import { constantLayout } from "../../src/train/constant-layout.ts";
import { visionConfigSchema } from "../../src/vision/config.ts";
import { visionEncoder } from "../../src/vision/encoder.ts";
import type { Benchmark } from "./benchmark.ts";
import { openTraining } from "./training.ts";

const GRID = { frames: 1, rows: 32, columns: 32 } as const;
const P = GRID.rows * GRID.columns;

const config = visionConfigSchema.parse({
  image_size: 448,
  patch_size: 14,
  hidden_size: 256,
  num_hidden_layers: 6,
  num_attention_heads: 8,
  intermediate_size: 1024,
  hidden_act: "gelu_pytorch_tanh",
});
const patchValues = config.num_channels * config.patch_size ** 2;

export const visionTraining: Benchmark = {
  name: "train-vit-h256-l6-n1024",
  about: "vision encoder: width 256, 6 layers, 8 heads, ff 1024; one image of 32 x 32 patches of 14 pixels",
  open: (options) => {
    const pixels = counterRandom(0, "pixels").fillNormal(new Float32Array(P * patchValues));
    return openTraining(
      {
        trace: (graph) => {
          const layout = constantLayout(graph, [GRID], config);
          const features = visionEncoder(graph.params, graph.input("pixels", [P, patchValues]), layout, config);
          return { loss: features.square().mean([0, 1]) };
        },
        feeds: { pixels: f32(pixels, [P, patchValues]) },
        units: { patches: P },
      },
      options,
    );
  },
};
