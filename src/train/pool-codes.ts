// Codes as a language model reads them that is trained together with the tokenizer.

import type { Params } from "../tensor/params.ts";
import type { Tensor } from "../tensor/tensor.ts";
import { fuse } from "../vision/tokenizer.ts";

export interface PoolOptions {
  /** "avg" divides by the number of books. */
  readonly pool: "avg" | "sum";
  readonly amplifier: number;
}

/**
 * Embeddings for a language model trained together with the tokenizer: zq, one [M, d] for each book -> [M, D]. p is where
 * the matrices `{i}.weight` lie: `quant_projector`, which a finished checkpoint calls `up_projectors`.
 */
export function poolCodes(p: Params, zq: readonly Tensor[], D: number, options: PoolOptions): Tensor {
  const fused = fuse(p, zq, D, options.pool === "avg" ? "mean" : "sum");
  return options.amplifier === 1 ? fused : fused.mul(options.amplifier);
}
