// From what the token head says to scores over the vocabulary: the language model's final norm, then the output matrix.

import { rmsNorm } from "../nn/norm.ts";
import { init, type Params } from "../tensor/params.ts";
import type { Tensor } from "../tensor/tensor.ts";

/** x [.., D] -> [.., D]. `p` is the trunk: its `norm` comes after the token head, not before it. */
export function finalNorm(p: Params, x: Tensor, eps: number): Tensor {
  return rmsNorm(p.at("norm"), x, eps);
}

/** The matrix [V+S, D] at path `p`: `lm_head` in training, `model.model.output` in generation. */
export function outputMatrix(p: Params, entries: number, width: number): Tensor {
  return p.get("weight", [entries, width], init.lecun(width));
}
