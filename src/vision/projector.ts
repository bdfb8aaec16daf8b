// The projector (`mlp_AR`): joins 2 x 2 neighbouring patches and brings them to the language model's width.
// features [P, D] -> [M, L], M = P/4. Up to here patches are in raster order; the regrouping happens here.

import { linear } from "../nn/linear.ts";
import { layerNorm } from "../nn/norm.ts";
import type { Params } from "../tensor/params.ts";
import type { Tensor } from "../tensor/tensor.ts";

/** 1e-5, unlike the encoder's 1e-6. */
const NORM_EPS = 1e-5;

/** `merge` i32 [M, 4] names the four patches of each position in reading order. `L`: the width to reach. */
export function projector(p: Params, features: Tensor, merge: Tensor, L: number): Tensor {
  const width = 4 * features.size(-1);
  const joined = features.gather(merge).reshape([merge.dim(0), width]); // [M, 4, D] -> [M, 4D]
  const hidden = linear(p.at("linear_1"), layerNorm(p.at("pre_norm"), joined, NORM_EPS), width);
  return linear(p.at("linear_2"), hidden.gelu(), L); // the exact GELU, unlike the encoder's
}
