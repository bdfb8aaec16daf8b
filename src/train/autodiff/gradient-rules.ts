// One gradient rule for each operation. The type makes the compiler list the operations that lack one.
// A rule gets its node and the gradients of the node's outputs (undefined where nothing used that output) and returns a
// closure for each input, called only when that input's gradient is wanted. Broadcasting is undone by the caller.

import type { GraphNode } from "../../tensor/graph.ts";
import type { OpName } from "../../tensor/ops.ts";
import { concat, type Tensor } from "../../tensor/tensor.ts";
import { convolutionRules } from "./convolution-gradients.ts";

type InputGradient = (() => Tensor) | undefined;
export type Rule<K extends OpName> = (
  node: GraphNode<K>,
  outputs: readonly (Tensor | undefined)[],
) => readonly InputGradient[];

/** `null`: the operation is not differentiable, and gradients stop there. */
export const gradientRules: { readonly [K in OpName]: Rule<K> | null } = {
  input: null,
  param: null,
  constant: null,
  add: (_, [g]) => [() => g!, () => g!],
  sub: (_, [g]) => [() => g!, () => g!.neg()],
  mul: ({ inputs: [a, b] }, [g]) => [() => g!.mul(b!), () => g!.mul(a!)],
  div: ({ inputs: [, b], outputs: [y] }, [g]) => [() => g!.div(b!), () => g!.mul(y!).div(b!).neg()],
  neg: (_, [g]) => [() => g!.neg()],
  exp: ({ outputs: [y] }, [g]) => [() => g!.mul(y!)],
  sqrt: ({ outputs: [y] }, [g]) => [() => g!.div(y!).mul(0.5)],
  abs: ({ inputs: [x] }, [g]) => [() => g!.mul(x!.div(x!.abs().add(1e-30)))],
  sin: ({ inputs: [x] }, [g]) => [() => g!.mul(x!.cos())],
  cos: ({ inputs: [x] }, [g]) => [() => g!.mul(x!.sin()).neg()],
  sigmoid: ({ outputs: [y] }, [g]) => [() => g!.mul(y!.sub(y!.square()))],
  erf: ({ inputs: [x] }, [g]) => [() => g!.mul(x!.square().neg().exp()).mul(2 / Math.sqrt(Math.PI))],
  relu: ({ outputs: [y] }, [g]) => [() => g!.mul(y!.div(y!.add(1e-30)))],
  // y = x s with s = sigmoid(x): dy/dx = s + y (1 - s)
  silu: ({ inputs: [x], outputs: [y] }, [g]) => [
    () => {
      const s = x!.sigmoid();
      return g!.mul(s.add(y!.sub(y!.mul(s))));
    },
  ],
  // y = x Phi(x): dy/dx = Phi(x) + x phi(x)
  gelu: ({ inputs: [x] }, [g]) => [
    () => {
      const phi = x!
        .square()
        .mul(-0.5)
        .exp()
        .mul(1 / Math.sqrt(2 * Math.PI));
      const cdf = x!.mul(Math.SQRT1_2).erf().add(1).mul(0.5);
      return g!.mul(cdf.add(x!.mul(phi)));
    },
  ],
  // y = x s with s = sigmoid(2u), u = k (x + 0.044715 x^3): dy/dx = s + y (1 - s) 2 u'
  geluTanh: ({ inputs: [x], outputs: [y] }, [g]) => [
    () => {
      const k = 2 * Math.sqrt(2 / Math.PI);
      const x2 = x!.square();
      const s = x!.mul(x2.mul(0.044715 * k).add(k)).sigmoid();
      const slope = x2.mul(3 * 0.044715 * k).add(k);
      return g!.mul(s.add(y!.sub(y!.mul(s)).mul(slope)));
    },
  ],
  floor: null,
  matmul: (node, [g]) => matmulRule(node, g!),
  linear: ({ inputs: [x, weight] }, [g]) => [
    () => g!.matmul(weight!),
    () => g!.matmul(x!, { transA: true }),
    () => g!.sum([0]),
  ],
  reshape: ({ inputs: [x] }, [g]) => [() => g!.reshape(x!.shape)],
  transpose: ({ attributes: { perm } }, [g]) => [() => g!.transpose(perm.map((_, i) => perm.indexOf(i)))],
  expand: (_, [g]) => [() => g!],
  slice: ({ inputs: [x], attributes: { ranges } }, [g]) => [
    () => {
      if (ranges.some(({ step }) => step !== 1)) {
        throw new Error("slice: a gradient through a step above 1 is not defined here");
      }
      return g!.padAxes(ranges.map(({ axis, start, end }) => ({ axis, before: start, after: x!.size(axis) - end })));
    },
  ],
  pad: ({ inputs: [x], attributes: { margins } }, [g]) => [
    () =>
      g!.sliceAxes(margins.map(({ axis, before }) => ({ axis, start: before, end: before + x!.size(axis), step: 1 }))),
  ],
  concat: ({ inputs, attributes: { axis } }, [g]) => {
    let at = 0;
    return inputs.map((input) => {
      const start = at;
      at += input.size(axis);
      return () => g!.slice(axis, start, start + input.size(axis));
    });
  },
  split: ({ inputs: [x], outputs, attributes: { axis } }, gs) => [
    () =>
      concat(
        outputs.map((output, i) => gs[i] ?? zeros(x!, output)),
        axis,
      ),
  ],
  sum: ({ inputs: [x] }, [g]) => [() => g!.expand(x!.shape)],
  mean: ({ inputs: [x], attributes: { axes } }, [g]) => [
    () => g!.mul(1 / axes.reduce((n, axis) => n * x!.size(axis), 1)).expand(x!.shape),
  ],
  softmax: ({ outputs: [y] }, [g]) => [
    () => {
      const weighted = g!.mul(y!);
      return weighted.sub(y!.mul(weighted.sum([-1], true)));
    },
  ],
  // o = p v, p = softmax(s): dp = do v^T, and the row sums of dp p that the softmax needs are those of do o, E wide
  // instead of K wide (Dao et al., FlashAttention, 2022, appendix B.2).
  softmaxMatmul: ({ inputs: [, v], outputs: [o, p] }, [g, gProbabilities]) => {
    if (!g || gProbabilities) throw new Error("softmaxMatmul: only the product has a gradient");
    return [
      () => p!.mul(g.matmul(v!, { transB: true }).sub(g.mul(o!).sum([-1], true))),
      () => p!.matmul(g, { transA: true }),
    ];
  },
  logSoftmax: ({ outputs: [y] }, [g]) => [() => g!.sub(y!.exp().mul(g!.sum([-1], true)))],
  gather: ({ inputs: [table, indices] }, [g]) => [() => scatterRows(g!, indices!, table!.size(0)), undefined],
  addRows: ({ inputs: [, indices] }, [g]) => [() => g!, undefined, () => g!.gather(indices!)],
  pick: ({ inputs: [x, indices] }, [g]) => [() => zeros(x!, x!).addAt(indices!, g!), undefined],
  addAt: ({ inputs: [, indices] }, [g]) => [() => g!, undefined, () => g!.pick(indices!)],
  // d loss_r / d logits = softmax - one-hot(label)
  crossEntropy: ({ inputs: [logits, labels], outputs: [, logProbs] }, [g, gLogProbs]) => [
    () => {
      if (!g || gLogProbs) throw new Error("crossEntropy: only the losses have a gradient");
      return logProbs!
        .exp()
        .mul(g.reshape([logits!.dim(0), 1]))
        .addAt(labels!, g.neg());
    },
    undefined,
  ],
  // As above with logits = x m^T; row weights and one-hot go to the small sides: dx_r = g_r (p_r m - m[label_r]),
  // dm = p^T (g x) - the rows g_r x_r added up by label.
  linearCrossEntropy: ({ inputs: [x, matrix, labels], outputs: [, logProbs] }, [g, gLogProbs]) => {
    if (!g || gLogProbs) throw new Error("linearCrossEntropy: only the losses have a gradient");
    const column = g.reshape([x!.dim(0), 1]);
    const probabilities = logProbs!.exp();
    return [
      () => probabilities.matmul(matrix!).sub(matrix!.gather(labels!)).mul(column),
      () => {
        const weighted = x!.mul(column);
        return probabilities.matmul(weighted, { transA: true }).addRows(labels!, weighted.neg());
      },
      undefined,
    ];
  },
  argmin: null,
  argmax: null,
  largest: null,
  cumulativeSum: null,
  stopGradient: null,
  // y = n w, n = (x - mean) r: dx = r (g w - mean(g w) - n mean(g n w)). The means over a weight are products with it.
  layerNorm: ({ inputs: [x, w], outputs: [, mean, r] }, [g]) => {
    const n = x!.sub(mean!).mul(r!);
    const gn = g!.mul(n);
    const average = (values: Tensor) => (w ? weightedMean(values, w) : values.mean([-1], true));
    return [
      () =>
        (w ? g!.mul(w) : g!)
          .sub(average(g!))
          .sub(n.mul(average(gn)))
          .mul(r!),
      () => gn,
      () => g!,
    ];
  },
  // y = n w, n = x r: dx = r (g w - n mean(g n w)) = r (g w - x r^2 mean(g x w)), and dw sums g x r
  rmsNorm: ({ inputs: [x, w], outputs: [, r] }, [g]) => {
    const width = x!.size(-1);
    const gx = g!.mul(x!);
    return [
      () =>
        g!
          .mul(w!)
          .sub(x!.mul(weightedMean(gx, w!).mul(r!.square())))
          .mul(r!),
      () =>
        r!
          .reshape([1, -1])
          .matmul(gx.reshape([-1, width]))
          .reshape([width]),
    ];
  },
  // A rotation's transpose turns back. The tables are positions, not weights: no gradient.
  rotary: ({ inputs: [, cos, sin] }, [g]) => [() => g!.rotary(cos!, sin!.neg()), undefined, undefined],
  ...convolutionRules,
};

function matmulRule(
  { inputs: [a, b], attributes: { transA, transB, scale } }: GraphNode<"matmul">,
  g: Tensor,
): InputGradient[] {
  // A plain matrix on the right of a batch: flatten the batch, so that its gradient is one product.
  const isShared = a!.rank > 2 && b!.rank === 2;
  return [
    () => {
      if (!transA) return g.matmul(b!, { transB: !transB, scale });
      if (isShared) throw new Error("matmul: transA with a shared right operand has no gradient");
      return b!.matmul(g, { transA: transB, transB: true, scale });
    },
    () => {
      if (isShared && transA) throw new Error("matmul: transA with a shared right operand has no gradient");
      const x = isShared ? a!.reshape([-1, a!.dim(-1)]) : a!;
      const y = isShared ? g.reshape([-1, g.dim(-1)]) : g;
      return transB ? y.matmul(x, { transA: true, transB: transA, scale }) : x.matmul(y, { transA: !transA, scale });
    },
  ];
}

/** mean(x w) over the last axis: [.., D] -> [.., 1] */
function weightedMean(x: Tensor, w: Tensor): Tensor {
  return x.matmul(w.mul(1 / w.size(0)).reshape([-1, 1]));
}

/** Zeros of the shape of `like`, in the graph of `near`. */
function zeros(near: Tensor, like: Tensor): Tensor {
  return near.graph.scalar(0).expand(like.shape);
}

/** zeros [rows, ..rest] plus values [..indices, ..rest] at the rows that indices name; repeats add up. */
function scatterRows(values: Tensor, indices: Tensor, rows: number): Tensor {
  const shape = [rows, ...values.shape.slice(indices.rank)];
  return values.graph.scalar(0).expand(shape).addRows(indices, values);
}
