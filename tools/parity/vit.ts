// Parity of the vision encoder: packed images in, the stream after each layer and gradients out.

import { parseConfig } from "../../src/checkpoint/parse-config.ts";
import { f32 } from "../../src/runtime/host-tensor.ts";
import { Graph } from "../../src/tensor/graph.ts";
import { constantLayout } from "../../src/train/constant-layout.ts";
import { visionConfigSchema } from "../../src/vision/config.ts";
import { visionEncoder } from "../../src/vision/encoder.ts";
import { type ParityCase, skipUnknown } from "./case.ts";
import { compute } from "./compute.ts";
import { gridsFrom } from "./grids.ts";
import { input, numbers } from "./input.ts";
import { outputGradients } from "./output-gradients.ts";

export const vitCase: ParityCase = {
  matches: (config) => "image_size" in config && "num_attention_heads" in config,

  async run(folder) {
    const config = parseConfig(visionConfigSchema, folder.config, "vision_config", skipUnknown);
    const graph = new Graph();
    const pixels = input(folder, "pixel_values");
    const width = config.num_channels * config.patch_size ** 2;
    const P = pixels.data.length / width;
    const grids = gridsFrom(numbers(input(folder, "image_grid_thw")));
    const boundaries = folder.inputs.get("cu_seqlens");
    const layout = constantLayout(graph, grids, config, boundaries && numbers(boundaries));
    const features = visionEncoder(graph.params, graph.input("pixel_values", [P, width]), layout, config);
    for (const [path, activation] of graph.activations) graph.output(outputName(path), activation);
    graph.output("last_hidden_state", features);
    const waves = graph.constant(sines(P * config.hidden_size), [P, config.hidden_size]);
    const functional = features.mul(waves).sum([0, 1]);
    graph.output("functional", functional);
    outputGradients(graph, functional, folder.outputsPresent, "grad.");
    return compute(graph, folder.weights, { pixel_values: f32(pixels.data as Float32Array, [P, width]) });
  },

  tolerance(name) {
    if (name === "functional") return { absolute: 1e-3 };
    return { relative: name.startsWith("grad.") ? 1e-4 : 2e-5 };
  },
};

/** What the reference's folder calls an activation. */
function outputName(path: string): string {
  const names = { "embeddings.patch_embedding": "patch_embed", "embeddings.position_embedding": "pos_embed" };
  if (path === "embeddings") return "after_pos_embed";
  return names[path as keyof typeof names] ?? path.replace("encoder.layers.", "after_layer");
}

/** sin(0.37 i) with the argument in float32, as the reference computed it: far out its rounding shows. */
function sines(count: number): Float32Array {
  const step = Math.fround(0.37);
  return Float32Array.from({ length: count }, (_, i) => Math.sin(Math.fround(step * i)));
}
