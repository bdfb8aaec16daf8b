// Images as the autoencoder reads and draws them: one plane a channel, values -1 .. 1.

import type { HostTensor } from "../runtime/host-tensor.ts";
import type { RgbImage } from "./rgb.ts";

/** The n-th image of [B, 3, h, w]: v / 2 + 0.5, clamped, times 255, halves rounded to even. */
export function imageFromPlanes({ data, shape }: HostTensor, n = 0): RgbImage {
  const [, , height, width] = shape as [number, number, number, number];
  const area = width * height;
  const pixels = new Uint8ClampedArray(3 * area); // clamps, and rounds halves to even
  for (let i = 0; i < area; i++) {
    for (let c = 0; c < 3; c++) pixels[3 * i + c] = (Number(data[(n * 3 + c) * area + i]) / 2 + 0.5) * 255;
  }
  return { width, height, data: new Uint8Array(pixels.buffer) };
}

/** Copies rows from .. to-1 of every plane of one tensor [1, C, h, w] to where row `at` of another begins. */
export function copyRows(
  source: HostTensor,
  { from, to }: { readonly from: number; readonly to: number },
  target: HostTensor,
  at: number,
): void {
  const [, planes, height, width] = source.shape as [number, number, number, number];
  const [values, into] = [source.data as Float32Array, target.data as Float32Array];
  const targetHeight = target.shape[2]!;
  for (let c = 0; c < planes; c++) {
    const rows = values.subarray((c * height + from) * width, (c * height + to) * width);
    into.set(rows, (c * targetHeight + at) * width);
  }
}
