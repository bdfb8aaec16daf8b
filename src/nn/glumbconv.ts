// The gated inverted bottleneck of SANA's transformer and of the DC-AE (arXiv:2410.10629, section 2.2):
// widen by 1x1, look around by a depthwise 3x3, gate one half by the other, narrow by 1x1.

import type { Params } from "../tensor/params.ts";
import type { Tensor } from "../tensor/tensor.ts";
import { conv, depthwiseConv } from "./conv.ts";

/** Where the three convolutions lie: the two users name them differently. */
export interface GluMbConvPaths {
  readonly inverted: Params;
  readonly depth: Params;
  readonly point: Params;
}

/** x [B, C, h, w] -> [B, C, h, w] through 2F channels, F after the gate. The last convolution has no bias. */
export function gluMbConv(paths: GluMbConvPaths, x: Tensor, F: number): Tensor {
  const wide = depthwiseConv(paths.depth, conv(paths.inverted, x, 2 * F, 1).silu(), 3); // [B, 2F, h, w]
  const [content, gate] = wide.split(1, [F, F]);
  return conv(paths.point, content!.mul(gate!.silu()), x.size(1), 1, { hasBias: false });
}
