// Attention without a softmax, linear in the number of positions (SANA's LiteLA, arXiv:2410.10629; EfficientViT).
// The similarity of q and k is relu(q).relu(k), so the sum over positions of v k^T is taken first and once.

import type { Tensor } from "../tensor/tensor.ts";

/** q, k, v, and the result are [.., E, n]: channels first. `eps` keeps the division from 0/0 where every product is 0. */
export function linearAttention(q: Tensor, k: Tensor, v: Tensor, eps: number): Tensor {
  const query = q.relu();
  const key = k.relu();
  const values = v.matmul(key, { transB: true }).matmul(query); // [.., E, E] x [.., E, n]
  const norm = key.sum([key.rank - 1], true).matmul(query, { transA: true }); // [.., 1, n]
  return values.div(norm.add(eps));
}

/** The same attention through the whole [n, n] matrix: what small images use, and what the linear form is held to. */
export function quadraticReluAttention(q: Tensor, k: Tensor, v: Tensor, eps: number): Tensor {
  const scores = k.relu().matmul(q.relu(), { transA: true }); // [.., keys, queries]
  return v.matmul(scores.div(scores.sum([scores.rank - 2], true).add(eps)));
}
