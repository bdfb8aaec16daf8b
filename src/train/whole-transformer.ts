// The diffusion transformer in one graph, conditions to velocity: for training and for comparison. Sampling runs it in parts
// (detokenizer/denoiser.ts).

import { connectCondition, crossMemory, embedCondition, nullCondition, type Rope } from "../detokenizer/condition.ts";
import type { DitConfig } from "../detokenizer/config.ts";
import { predictVelocity } from "../detokenizer/diffusion-transformer.ts";
import type { Params } from "../tensor/params.ts";
import type { Tensor } from "../tensor/tensor.ts";

/** Positions of both sides of cross-attention; absent where the model has none. */
export interface CrossRope {
  readonly latent: Rope;
  readonly condition: Rope;
}

export interface ConditionInputs {
  /** Conditions [B, L, connector or C]. */
  readonly y: Tensor;
  /** The connector has already run: y has C channels, not the connector's width. */
  readonly isConnected?: boolean;
  /** [B] of 0 and 1: samples whose condition becomes the null condition (dropout in training). */
  readonly drop?: Tensor;
}

export interface DitInputs extends ConditionInputs {
  readonly x: Tensor;
  readonly timestep: Tensor;
  readonly bias: Tensor;
  readonly rope?: CrossRope | undefined;
}

export function diffusionTransformer(p: Params, inputs: DitInputs, config: DitConfig): Tensor {
  const { x, timestep, bias, rope } = inputs;
  const memory = crossMemory(p, wholeCondition(p, inputs, config), config, rope?.condition);
  return predictVelocity(p, { x, timestep, memory, bias, rope: rope?.latent }, config);
}

/** The connector, dropout and embedding of conditions -> what every block attends to, [B, L, D]. */
export function wholeCondition(p: Params, inputs: ConditionInputs, config: DitConfig): Tensor {
  const { y, isConnected = !config.useConnector, drop } = inputs;
  const connected = isConnected ? y : connectCondition(p, y, config);
  if (!drop) return embedCondition(p, connected, config);
  const rows = nullCondition(p, config).slice(0, 0, y.size(1)); // the mask stays the sample's own
  const isDropped = drop.reshape([drop.dim(0), 1, 1]);
  return embedCondition(p, connected.mul(isDropped.neg().add(1)).add(isDropped.mul(rows)), config);
}
