// The training loss of the diffusion transformer as one graph (reference: FlowMatchingLoss): noisy latents in, the squared
// error of the velocity out.

import type { DitConfig } from "../../detokenizer/config.ts";
import type { Graph } from "../../tensor/graph.ts";
import type { Tensor } from "../../tensor/tensor.ts";
import { type DitInputs, diffusionTransformer } from "../whole-transformer.ts";
import { flowLoss, noisyLatents, velocityTarget } from "./flow-matching.ts";

/** Declares the inputs x0 and noise [B, in, h, w] and sigma [B] beside those of the condition; returns the loss, a scalar. */
export function traceFlowLoss(
  graph: Graph,
  shape: readonly number[],
  condition: Omit<DitInputs, "x" | "timestep">,
  config: DitConfig,
): Tensor {
  const x0 = graph.input("x0", shape);
  const noise = graph.input("noise", shape);
  const sigma = graph.input("sigma", [shape[0]!]);
  const inputs = { ...condition, x: noisyLatents(x0, noise, sigma), timestep: sigma.mul(1000) };
  return flowLoss(diffusionTransformer(graph.params, inputs, config), velocityTarget(x0, noise));
}
