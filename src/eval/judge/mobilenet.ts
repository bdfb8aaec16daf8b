// MobileNetV2 (Sandler et al., arXiv:1801.04381), trained on ImageNet, up to its features at stride 16: the input of the judge of drawn
// images. It is not used in training (the teacher there is another network).

import type { Params } from "../../tensor/params.ts";
import type { Tensor } from "../../tensor/tensor.ts";

/** Channels of the features. */
export const FEATURE_WIDTH = 96;
export const STEM_WIDTH = 32;
const FIRST_WIDTH = 16;
const EXPANSION = 6;

export interface ResidualBlock {
  readonly out: number;
  readonly stride: 1 | 2;
}

/** Blocks 1 to 12, after the first, which does not expand. */
export const residualBlocks: readonly ResidualBlock[] = [
  ...[{ out: 24, stride: 2 as const }, ...repeat({ out: 24, stride: 1 as const }, 1)],
  ...[{ out: 32, stride: 2 as const }, ...repeat({ out: 32, stride: 1 as const }, 2)],
  ...[{ out: 64, stride: 2 as const }, ...repeat({ out: 64, stride: 1 as const }, 3)],
  ...repeat({ out: FEATURE_WIDTH, stride: 1 as const }, 3),
];

/** pixels [B, 3, h, w] in -1 .. 1 -> [B, 96, h/16, w/16]; h and w are multiples of 16. */
export function mobileNetFeatures(p: Params, pixels: Tensor): Tensor {
  let x = relu6(conv(p.at("stem"), pixels, { out: STEM_WIDTH, kernel: 3, stride: 2 }));
  x = relu6(conv(p.at("blocks.0.depthwise"), x, { out: STEM_WIDTH, kernel: 3, groups: STEM_WIDTH }));
  x = conv(p.at("blocks.0.project"), x, { out: FIRST_WIDTH, kernel: 1 });
  residualBlocks.forEach(({ out, stride }, i) => {
    const block = p.at("blocks", i + 1);
    const width = x.size(1) * EXPANSION;
    const wide = relu6(conv(block.at("expand"), x, { out: width, kernel: 1 }));
    const deep = relu6(conv(block.at("depthwise"), wide, { out: width, kernel: 3, stride, groups: width }));
    const y = conv(block.at("project"), deep, { out, kernel: 1 });
    x = stride === 1 && x.size(1) === out ? y.add(x) : y;
  });
  return x;
}

interface ConvOptions {
  readonly out: number;
  readonly kernel: number;
  readonly stride?: 1 | 2;
  readonly groups?: number;
}

/** "Same" padding as in Keras: at stride 2 an even side is padded at its end. Batch norms are folded into weight and bias. */
function conv(p: Params, x: Tensor, { out, kernel, stride = 1, groups = 1 }: ConvOptions): Tensor {
  const margin = { before: kernel > 1 && stride === 1 ? 1 : 0, after: kernel > 1 ? 1 : 0 };
  const padded =
    kernel > 1
      ? x.padAxes([
          { axis: 2, ...margin },
          { axis: 3, ...margin },
        ])
      : x;
  const weight = p.get("weight", [out, x.size(1) / groups, kernel, kernel]);
  return padded.conv2d(weight, p.get("bias", [out]), { stride, padding: 0, groups });
}

function relu6(x: Tensor): Tensor {
  return x.relu().neg().add(6).relu().neg().add(6);
}

function repeat<T>(item: T, times: number): T[] {
  return new Array<T>(times).fill(item);
}
