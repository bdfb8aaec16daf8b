// Gradients of convolutions in the forms that run fastest on ONNX Runtime's CPU kernels: the input's by a convolution with
// the flipped kernel, the weight's by unfolding the input into columns and a matrix product (depthwise: by shifted sums).

import type { GraphNode } from "./graph.ts";
import type { Rule } from "./gradient-rules.ts";
import { concat, type Tensor } from "./tensor.ts";

export const convolutionRules: { readonly conv2d: Rule<"conv2d">; readonly convInput: null } = {
  conv2d: (node, [g]) => {
    const { inputs, attributes } = node;
    const [x, weight] = inputs as [Tensor, Tensor];
    return [
      () => {
        const [, , height, width] = x.dims(4) as [number, number, number, number];
        return x.graph.node("convInput", { ...attributes, height, width }, [g!, weight], [[x.shape, "f32"]]);
      },
      () => (attributes.groups === x.dim(1) && weight.dim(0) === x.dim(1) ? depthwiseWeight(node, g!) : weightByColumns(node, g!)),
    ];
  },
  convInput: null,
};

/** The k*k shifted views [B, C, H', W'] of the padded input under the kernel's elements, in raster order. */
function shiftedViews({ inputs, attributes: { stride, padding } }: GraphNode<"conv2d">, g: Tensor): Tensor[] {
  const [x, weight] = inputs as [Tensor, Tensor];
  const padded = x.pad(2, padding, padding).pad(3, padding, padding);
  const views: Tensor[] = [];
  for (let i = 0; i < weight.size(2); i++) {
    for (let j = 0; j < weight.size(3); j++) {
      const rows = padded.slice(2, i, i + (g.size(2) - 1) * stride + 1, stride);
      views.push(rows.slice(3, j, j + (g.size(3) - 1) * stride + 1, stride));
    }
  }
  return views;
}

function weightByColumns(node: GraphNode<"conv2d">, g: Tensor): Tensor {
  const [x, weight] = node.inputs as [Tensor, Tensor];
  const { groups } = node.attributes;
  const [B, O, H, W] = g.dims(4) as [number, number, number, number];
  const perGroup = weight.size(1);
  const taps = weight.size(2) * weight.size(3);
  const columns = concat(
    shiftedViews(node, g).map((view) => view.reshape([B, groups, perGroup, 1, H * W])),
    3,
  ).reshape([B, groups, perGroup * taps, H * W]);
  const products = g.reshape([B, groups, O / groups, H * W]).matmul(columns, { transB: true });
  return products.sum([0]).reshape(weight.shape) satisfies typeof x;
}

function depthwiseWeight(node: GraphNode<"conv2d">, g: Tensor): Tensor {
  const weight = node.inputs[1] as Tensor;
  const sums = shiftedViews(node, g).map((view) => view.mul(g).sum([0, 2, 3]).reshape([weight.dim(0), 1]));
  return concat(sums, 1).reshape(weight.shape);
}
