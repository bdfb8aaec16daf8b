// Gradients of convolutions in the forms that run fastest on ONNX Runtime's CPU kernels: the input's by a convolution with
// the flipped kernel, the weight's by unfolding the input into columns and a matrix product (depthwise: by shifted products).

import { formatShape } from "../../tensor/dims.ts";
import type { GraphNode } from "../../tensor/graph.ts";
import { concat, type Tensor } from "../../tensor/tensor.ts";
import type { Rule } from "./gradient-rules.ts";

export const convolutionRules: { readonly conv2d: Rule<"conv2d">; readonly convInput: null } = {
  conv2d: (node, [g]) => {
    const { inputs, attributes } = node;
    const [x, weight] = inputs as [Tensor, Tensor];
    return [
      () => {
        const [, , height, width] = x.dims(4) as [number, number, number, number];
        return x.graph.node("convInput", { ...attributes, height, width }, [g!, weight], [[x.shape, "f32"]]);
      },
      () =>
        attributes.groups === x.dim(1) && weight.dim(0) === x.dim(1)
          ? depthwiseWeight(node, g!)
          : weightByColumns(node, g!),
      () => g!.sum([0, 2, 3]),
    ];
  },
  convInput: null,
};

/** The k*k shifted views [B, C, H', W'] of the padded input x, or of some of its channels, under the kernel's elements, in raster order. */
function shiftedViews(
  { inputs, attributes: { stride, padding } }: GraphNode<"conv2d">,
  x: Tensor,
  g: Tensor,
): Tensor[] {
  const weight = inputs[1] as Tensor;
  const padded = x.padAxes([
    { axis: 2, before: padding, after: padding },
    { axis: 3, before: padding, after: padding },
  ]);
  const keepsSize = stride === 1 && formatShape(x.shape.slice(2)) === formatShape(g.shape.slice(2));
  const range = (axis: number, at: number) => ({
    axis,
    start: at,
    end: at + (g.size(axis) - 1) * stride + 1,
    step: stride,
  });
  const views: Tensor[] = [];
  for (let i = 0; i < weight.size(2); i++) {
    for (let j = 0; j < weight.size(3); j++) {
      const isUnmoved = keepsSize && i === padding && j === padding;
      views.push(isUnmoved ? x : padded.sliceAxes([range(2, i), range(3, j)]));
    }
  }
  return views;
}

function weightByColumns(node: GraphNode<"conv2d">, g: Tensor): Tensor {
  const [x, weight] = node.inputs as [Tensor, Tensor];
  const { groups, stride, padding } = node.attributes;
  const [B, O] = g.dims(4) as [number, number];
  const [, perGroup, kh, kw] = weight.shape as [number, number, number, number];
  const taps = kh * kw;
  // Unfolding copies a side k*k times: take the narrower one where the shapes allow it.
  if (O / groups < perGroup && stride === 1 && padding < Math.min(kh, kw)) {
    const pixels = x.size(2) * x.size(3);
    const columns = unfold(shiftedGradients(node, g), [B, groups, O / groups, pixels]);
    const products = x.reshape([B, groups, perGroup, pixels]).matmul(columns, { transB: true }); // [B, groups, C/groups, O/groups * taps]
    return products
      .sum([0])
      .reshape([groups, perGroup, O / groups, taps])
      .transpose([0, 2, 1, 3])
      .reshape(weight.shape);
  }
  const pixels = g.size(2) * g.size(3);
  const columns = unfold(shiftedViews(node, x, g), [B, groups, perGroup, pixels]);
  const products = g.reshape([B, groups, O / groups, pixels]).matmul(columns, { transB: true });
  return products.sum([0]).reshape(weight.shape);
}

/** Views [B, channels, h, w] side by side as [B, groups, channels/groups * views, pixels]. */
function unfold(
  views: readonly Tensor[],
  [B, groups, perGroup, pixels]: readonly [number, number, number, number],
): Tensor {
  const rows = views.map((view) => view.reshape([B, groups, perGroup, 1, pixels]));
  return concat(rows, 3).reshape([B, groups, perGroup * views.length, pixels]);
}

/** For each element of the kernel the output's gradient [B, O, H, W] as the input's pixels meet it there (stride 1). */
function shiftedGradients({ inputs, attributes: { padding } }: GraphNode<"conv2d">, g: Tensor): Tensor[] {
  const [x, weight] = inputs as [Tensor, Tensor];
  const [kh, kw] = [weight.size(2), weight.size(3)];
  const margin = (axis: number, k: number) => ({ axis, before: k - 1 - padding, after: k - 1 - padding });
  const padded = g.padAxes([margin(2, kh), margin(3, kw)]);
  const range = (axis: number, start: number) => ({ axis, start, end: start + x.size(axis), step: 1 });
  const views: Tensor[] = [];
  for (let i = kh - 1; i >= 0; i--) {
    for (let j = kw - 1; j >= 0; j--) views.push(padded.sliceAxes([range(2, i), range(3, j)]));
  }
  return views;
}

/**
 * Each tap is the product of a view of the channel and its gradient, row by row: a batch of 1 x pixels by pixels x 1, read
 * once and not written. In parts of channels, so that what is read again for each tap stays in the cache.
 */
function depthwiseWeight(node: GraphNode<"conv2d">, g: Tensor): Tensor {
  const weight = node.inputs[1] as Tensor;
  const x = node.inputs[0] as Tensor;
  const [B, C, height, width] = g.dims(4) as [number, number, number, number];
  const pixels = height * width;
  const parts = partsOf(C, B * C * pixels);
  const sizes = Array<number>(parts).fill(C / parts);
  const pieces = (tensor: Tensor) => (parts === 1 ? [tensor] : tensor.split(1, sizes));
  const gradients = pieces(g);
  const sums = pieces(x).map((piece, i) => {
    const rows = gradients[i]!.reshape([-1, 1, pixels]); // [B * C/parts, 1, pixels]
    const taps = shiftedViews(node, piece, gradients[i]!).map((view) =>
      view.reshape([-1, 1, pixels]).matmul(rows, { transB: true }),
    );
    return concat(taps, 2)
      .reshape([B, C / parts, taps.length])
      .sum([0]); // [C/parts, taps]
  });
  return concat(sums, 0).reshape(weight.shape);
}

/** Elements of a part: three tensors of this size fit into a second-level cache of today. */
const PART_ELEMENTS = 2 ** 19;

/** The smallest divisor of C that brings `elements` below PART_ELEMENTS, or C. */
function partsOf(C: number, elements: number): number {
  for (let parts = 1; parts < C; parts++) if (C % parts === 0 && elements / parts <= PART_ELEMENTS) return parts;
  return C;
}
