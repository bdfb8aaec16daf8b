// Metrics of images against their originals.

import type { RgbImage } from "../image/rgb.ts";

/** Mean squared error over all pixels of all pairs (levels 0..255) and the mean of the pairs' PSNR in dB (99 for equal ones). */
export function pixelError(originals: readonly RgbImage[], others: readonly RgbImage[]): { mse: number; psnr: number } {
  let [mse, psnr] = [0, 0];
  originals.forEach((original, n) => {
    const other = others[n]!;
    if (other.width !== original.width || other.height !== original.height) {
      throw new Error(
        `an image of ${original.width} x ${original.height} against one of ${other.width} x ${other.height}`,
      );
    }
    let sum = 0;
    original.data.forEach((value, i) => {
      sum += (value - other.data[i]!) ** 2;
    });
    const error = sum / original.data.length;
    mse += error / originals.length;
    psnr += (error === 0 ? 99 : 10 * Math.log10(255 ** 2 / error)) / originals.length;
  });
  return { mse, psnr };
}
