// Softmax attention, the one form that the vision encoder, the language model, the token head and the diffusion
// transformer's cross-attention share. Masks, groups of images and caches are the caller's: they come as tensors.

import { mulDims } from "../tensor/dims.ts";
import { concat, type Tensor } from "../tensor/tensor.ts";

/** Keys and values [.., T, E] of some positions. */
export interface KeyValue {
  readonly keys: Tensor;
  readonly values: Tensor;
}

export interface AttentionOptions {
  /** Factor on the scores, usually E^-0.5. */
  readonly scale: number;
  /** Added to the scores before the softmax; broadcastable to [.., Tq, Tk], or [.., Tq, C+Tk] with `past`. */
  readonly mask?: Tensor;
  /**
   * C positions before those of k and v, a cache: read where it lies and not joined with k and v, which would copy it. Queries
   * that share keys are best given as an axis along which those have size 1, and scaled already: ONNX Runtime reads keys as
   * they are for products of single rows without a factor, and copies them into panels first for others.
   */
  readonly past?: KeyValue;
}

/** softmax(scale q k^T + mask) v. q [.., Tq, E], k [.., Tk, E], v [.., Tk, E] -> [.., Tq, E] */
export function attention(q: Tensor, k: Tensor, v: Tensor, { scale, mask, past }: AttentionOptions): Tensor {
  const score = (keys: Tensor) => q.matmul(keys, { transB: true, scale });
  const scores = past ? concat([score(past.keys), score(k)], -1) : score(k); // [.., Tq, C+Tk]
  const masked = mask ? scores.add(mask) : scores;
  if (!past) return masked.softmaxMatmul(v);
  const [before, own] = masked.softmax().split(-1, [past.keys.dim(-2), k.dim(-2)]);
  return before!.matmul(past.values).add(own!.matmul(v));
}

/** [.., T, H*E] -> [.., H, T, E] */
export function splitHeads(x: Tensor, heads: number): Tensor {
  const lead = x.shape.slice(0, -2);
  const E = x.size(-1) / heads;
  const split = x.reshape([...lead, x.dim(-2), heads, E]);
  return split.transpose(swapped(split.rank));
}

/** [.., H, T, E] -> [.., T, H*E] */
export function mergeHeads(x: Tensor): Tensor {
  const lead = x.shape.slice(0, -3);
  const [H, T, E] = [x.dim(-3), x.dim(-2), x.size(-1)];
  return x.transpose(swapped(x.rank)).reshape([...lead, T, mulDims(H, E)]);
}

/** The order of axes with the second and third from the end exchanged. */
function swapped(rank: number): number[] {
  const axes = Array.from({ length: rank }, (_, i) => i);
  return [...axes.slice(0, -3), rank - 2, rank - 3, rank - 1];
}
