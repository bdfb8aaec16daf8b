// Rectified flow between latents and noise (reference: FlowMatchingLoss), as pieces of a training graph.
// The model learns the velocity, noise - latents, at a point of the straight line between the two.

import type { Tensor } from "../../tensor/tensor.ts";

/** (1 - sigma) x0 + sigma noise. x0, noise [B, C, h, w], sigma [B] -> [B, C, h, w] */
export function noisyLatents(x0: Tensor, noise: Tensor, sigma: Tensor): Tensor {
  const share = sigma.reshape([sigma.dim(0), 1, 1, 1]);
  return x0.mul(share.neg().add(1)).add(noise.mul(share));
}

/** What the model should say, at every sigma. */
export function velocityTarget(x0: Tensor, noise: Tensor): Tensor {
  return noise.sub(x0);
}

/** Mean squared error over each sample, then over the batch; a scalar. Samples all weigh the same. */
export function flowLoss(velocity: Tensor, target: Tensor): Tensor {
  return target.sub(velocity).square().mean([1, 2, 3]).mean([0]);
}
