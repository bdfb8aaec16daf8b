// Convolutions with the checkpoint's names, and the rearrangements that change an image's resolution.
// Everything is channels first, [B, C, h, w], with fixed h and w; shared by the diffusion transformer and the autoencoder.

import { mulDims } from "../tensor/dims.ts";
import { init, type Params } from "../tensor/params.ts";
import type { Tensor } from "../tensor/tensor.ts";

export interface ConvOptions {
  readonly stride?: number;
  readonly groups?: number;
  readonly hasBias?: boolean;
}

/**
 * A square convolution of odd side `kernel` that keeps the image's size (at stride 1).
 * x [B, C, h, w] -> [B, out, h/stride, w/stride]; weight [out, C/groups, kernel, kernel], bias [out].
 */
export function conv(p: Params, x: Tensor, out: number, kernel: number, options: ConvOptions = {}): Tensor {
  const { stride = 1, groups = 1, hasBias = true } = options;
  const fanIn = (x.size(1) / groups) * kernel * kernel;
  const weight = p.get("weight", [out, x.size(1) / groups, kernel, kernel], init.lecun(fanIn));
  const bias = hasBias ? p.get("bias", [out], init.zeros) : null;
  return x.conv2d(weight, bias, { stride, padding: (kernel - 1) / 2, groups });
}

/** Each channel by its own filter. x [B, C, h, w] -> the same shape; weight [C, 1, kernel, kernel]. */
export function depthwiseConv(p: Params, x: Tensor, kernel: number, hasBias = true): Tensor {
  return conv(p, x, x.size(1), kernel, { groups: x.size(1), hasBias });
}

/** Each pixel becomes a square of 2 x 2. x [B, C, h, w] -> [B, C, 2h, 2w] */
export function upsampleNearest2(x: Tensor): Tensor {
  const [B, C, h, w] = x.dims(4);
  return x
    .reshape([B!, C!, h!, 1, w!, 1])
    .expand([B!, C!, h!, 2, w!, 2])
    .reshape([B!, C!, mulDims(h!, 2), mulDims(w!, 2)]);
}

/** Channels become pixels. x [B, C*r*r, h, w] -> [B, C, h*r, w*r]; inside a channel the order is (row, column). */
export function pixelShuffle(x: Tensor, r: number): Tensor {
  const [B, , h, w] = x.dims(4);
  const C = wholeQuotient(x.size(1), r * r, "pixelShuffle: channels");
  return x
    .reshape([B!, C, r, r, h!, w!])
    .transpose([0, 1, 4, 2, 5, 3]) // [B, C, h, r, w, r]
    .reshape([B!, C, mulDims(h!, r), mulDims(w!, r)]);
}

/** Pixels become channels, the inverse of pixelShuffle. x [B, C, h*r, w*r] -> [B, C*r*r, h, w] */
export function pixelUnshuffle(x: Tensor, r: number): Tensor {
  const [B] = x.dims(4);
  const C = x.size(1);
  const h = wholeQuotient(x.size(2), r, "pixelUnshuffle: rows");
  const w = wholeQuotient(x.size(3), r, "pixelUnshuffle: columns");
  return x
    .reshape([B!, C, h, r, w, r])
    .transpose([0, 1, 3, 5, 2, 4]) // [B, C, r, r, h, w]
    .reshape([B!, C * r * r, h, w]);
}

/** Means of n consecutive channels. x [B, C*n, h, w] -> [B, C, h, w] */
export function averageChannels(x: Tensor, n: number): Tensor {
  if (n === 1) return x;
  const [B, , h, w] = x.dims(4);
  return x.reshape([B!, wholeQuotient(x.size(1), n, "averageChannels: channels"), n, h!, w!]).mean([2]);
}

/** Each channel n times, one after the other. x [B, C, h, w] -> [B, C*n, h, w] */
export function repeatChannels(x: Tensor, n: number): Tensor {
  if (n === 1) return x;
  const [B, , h, w] = x.dims(4);
  const C = x.size(1);
  return x
    .reshape([B!, C, 1, h!, w!])
    .expand([B!, C, n, h!, w!])
    .reshape([B!, C * n, h!, w!]);
}

/** RMS over the channels of each pixel, with weight and bias. x [B, C, h, w] -> the same shape. */
export function channelRmsNorm(p: Params, x: Tensor, eps: number): Tensor {
  const C = x.size(1);
  // Along axis 1 as it lies: moving the channels to the end and back would cost two transposes of the image.
  const inverse = x.square().mean([1], true).add(eps).rsqrt(); // [B, 1, h, w]
  return x
    .mul(inverse)
    .mul(p.get("weight", [C], init.ones).reshape([C, 1, 1]))
    .add(p.get("bias", [C], init.zeros).reshape([C, 1, 1]));
}

function wholeQuotient(size: number, divisor: number, what: string): number {
  const quotient = size / divisor;
  if (!Number.isInteger(quotient)) throw new Error(`${what} are ${size}, which is not a multiple of ${divisor}`);
  return quotient;
}
