// Normalisation over the last axis, with the checkpoint's names.

import { init, type Params } from "../tensor/params.ts";
import type { Tensor } from "../tensor/tensor.ts";

/** LayerNorm with weight and bias (mean and biased variance over the last axis). */
export function layerNorm(p: Params, x: Tensor, eps: number): Tensor {
  const width = x.size(-1);
  return x.layerNorm(p.get("weight", [width], init.ones), p.get("bias", [width], init.zeros), eps);
}

/** RMSNorm: x * rsqrt(mean(x^2) + eps) * scale. The language model and the encoder call the weight "scale", the DiT "weight". */
export function rmsNorm(p: Params, x: Tensor, eps: number, name: "scale" | "weight" = "scale"): Tensor {
  return x.rmsNorm(p.get(name, [x.size(-1)], init.ones), eps);
}
