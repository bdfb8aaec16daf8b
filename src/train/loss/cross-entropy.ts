// Cross-entropy of scores and labels, as one operation each: the gradient is cheaper than that of its parts.

import { type Dim, formatShape } from "../../tensor/dims.ts";
import type { Tensor } from "../../tensor/tensor.ts";

/** -log softmax(logits)[label] for each row: logits [R, V], labels i32 [R], each inside 0..V-1 -> [R], in nats. */
export function crossEntropy(logits: Tensor, labels: Tensor): Tensor {
  const [R] = logits.dims(2) as [Dim];
  if (labels.dtype !== "i32" || formatShape(labels.shape) !== formatShape([R])) {
    throw new Error(
      `crossEntropy: labels ${labels.dtype} ${formatShape(labels.shape)} for logits ${formatShape(logits.shape)}`,
    );
  }
  return logits.graph.node(
    "crossEntropy",
    {},
    [logits, labels],
    [
      [[R], "f32"],
      [logits.shape, "f32"],
    ],
  );
}

/**
 * crossEntropy of the logits x matrix^T, whose gradient needs fewer passes over [R, V] than those of the two steps.
 * x [R, D], matrix [V, D], labels i32 [R], each inside 0..V-1 -> [R], in nats.
 */
export function linearCrossEntropy(x: Tensor, matrix: Tensor, labels: Tensor): Tensor {
  const [R, D] = x.dims(2) as [Dim, Dim];
  const [V, width] = matrix.dims(2) as [Dim, Dim];
  if (D !== width || labels.dtype !== "i32" || formatShape(labels.shape) !== formatShape([R])) {
    const shapes = `${formatShape(x.shape)} with matrix ${formatShape(matrix.shape)}`;
    throw new Error(`linearCrossEntropy: ${shapes} and labels ${labels.dtype} ${formatShape(labels.shape)}`);
  }
  return x.graph.node(
    "linearCrossEntropy",
    {},
    [x, matrix, labels],
    [
      [[R], "f32"],
      [[R, V], "f32"],
    ],
  );
}
