// The diffusion time as features: sines and cosines of 128 frequencies, then a small MLP.
// Timesteps run from 0 to 1000 and lose their fraction first, as in the reference, in training and in sampling alike.

import { linear } from "../nn/linear.ts";
import { init, type Params } from "../tensor/params.ts";
import { concat, type Tensor } from "../tensor/tensor.ts";

const FREQUENCIES = 128;
const SLOWEST_PERIOD = 10_000;

/** timestep [B] -> [B, D]. Weights: mlp.0, mlp.2. */
export function timestepEmbedding(p: Params, timestep: Tensor, D: number): Tensor {
  const [B] = timestep.dims(1);
  // In float32 step by step, as the reference computes them: times 1000, the last bit of a frequency shows.
  const rate = Math.fround(-Math.log(SLOWEST_PERIOD));
  const exponent = (k: number) => Math.fround(rate * k) / FREQUENCIES;
  const frequencies = Array.from({ length: FREQUENCIES }, (_, k) => Math.exp(exponent(k)));
  const table = timestep.graph.constant(frequencies, [1, FREQUENCIES]);
  const angles = timestep.floor().reshape([B!, 1]).mul(table); // [B, 128]
  const features = concat([angles.cos(), angles.sin()], 1);
  const hidden = linear(p.at("mlp", 0), features, D, true, init.normal(0.02)).silu();
  return linear(p.at("mlp", 2), hidden, D, true, init.normal(0.02));
}
