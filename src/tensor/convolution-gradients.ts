// Gradients of convolutions in the forms that run fastest on ONNX Runtime's CPU kernels: the input's by a convolution with
// the flipped kernel, the weight's by unfolding the input into columns and a matrix product (depthwise: by shifted sums).

import type { Rule } from "./gradient-rules.ts";
import type { GraphNode } from "./graph.ts";
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
      () =>
        attributes.groups === x.dim(1) && weight.dim(0) === x.dim(1)
          ? depthwiseWeight(node, g!)
          : weightByColumns(node, g!),
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
    const rows = padded.slice(2, i, i + (g.size(2) - 1) * stride + 1, stride);
    for (let j = 0; j < weight.size(3); j++) {
      views.push(rows.slice(3, j, j + (g.size(3) - 1) * stride + 1, stride));
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
  const columns = unfold(shiftedViews(node, g), [B, groups, perGroup, pixels]);
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
  const padded = g.pad(2, kh - 1 - padding, kh - 1 - padding).pad(3, kw - 1 - padding, kw - 1 - padding);
  const views: Tensor[] = [];
  for (let i = kh - 1; i >= 0; i--) {
    const rows = padded.slice(2, i, i + x.size(2));
    for (let j = kw - 1; j >= 0; j--) views.push(rows.slice(3, j, j + x.size(3)));
  }
  return views;
}

function depthwiseWeight(node: GraphNode<"conv2d">, g: Tensor): Tensor {
  const weight = node.inputs[1] as Tensor;
  const sums = shiftedViews(node, g).map((view) =>
    view
      .mul(g)
      .sum([0, 2, 3])
      .reshape([weight.dim(0), 1]),
  );
  return concat(sums, 1).reshape(weight.shape);
}
