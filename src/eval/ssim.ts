// Structural similarity (Wang et al., "Image quality assessment: from error visibility to structural similarity", 2004): luma, a
// Gaussian window of 11 pixels and deviation 1.5, K1 = 0.01, K2 = 0.03, the mean over all places where the window fits.

import type { RgbImage } from "../image/rgb.ts";

const REACH = 5;
const SIGMA = 1.5;
const C1 = (0.01 * 255) ** 2;
const C2 = (0.03 * 255) ** 2;

/** 1 for equal images. Throws for images of different sizes, or smaller than the window. */
export function ssim(a: RgbImage, b: RgbImage): number {
  if (a.width !== b.width || a.height !== b.height)
    throw new Error(`an image of ${a.width} x ${a.height} against one of ${b.width} x ${b.height}`);
  const { width, height } = a;
  const [columns, rows] = [width - 2 * REACH, height - 2 * REACH];
  if (columns < 1 || rows < 1) throw new Error(`an image of ${width} x ${height} is smaller than the window`);
  const [x, y] = [luma(a), luma(b)];
  const product = (p: Float64Array, q: Float64Array) => p.map((value, i) => value * q[i]!);
  const [mx, my, xx, yy, xy] = [x, y, product(x, x), product(y, y), product(x, y)].map((values) =>
    window(values, width, height),
  ) as [Float64Array, Float64Array, Float64Array, Float64Array, Float64Array];
  let sum = 0;
  for (let i = 0; i < mx.length; i++) {
    const [m, n] = [mx[i]!, my[i]!];
    const [vx, vy, covariance] = [xx[i]! - m * m, yy[i]! - n * n, xy[i]! - m * n];
    sum += ((2 * m * n + C1) * (2 * covariance + C2)) / ((m * m + n * n + C1) * (vx + vy + C2));
  }
  return sum / mx.length;
}

/** ITU-R BT.601 */
function luma({ width, height, data }: RgbImage): Float64Array {
  return Float64Array.from(
    { length: width * height },
    (_, i) => 0.299 * data[3 * i]! + 0.587 * data[3 * i + 1]! + 0.114 * data[3 * i + 2]!,
  );
}

const kernel = Array.from({ length: 2 * REACH + 1 }, (_, i) => Math.exp(-((i - REACH) ** 2) / (2 * SIGMA ** 2)));
const total = kernel.reduce((sum, weight) => sum + weight, 0);

/** Weighted means where the window fits: [height - 10, width - 10] */
function window(values: Float64Array, width: number, height: number): Float64Array {
  const columns = width - 2 * REACH;
  const wide = new Float64Array(columns * height);
  for (let row = 0; row < height; row++) {
    for (let column = 0; column < columns; column++) {
      let sum = 0;
      for (let k = 0; k < kernel.length; k++) sum += kernel[k]! * values[row * width + column + k]!;
      wide[row * columns + column] = sum / total;
    }
  }
  const out = new Float64Array(columns * (height - 2 * REACH));
  for (let i = 0; i < out.length; i++) {
    let sum = 0;
    for (let k = 0; k < kernel.length; k++) sum += kernel[k]! * wide[i + k * columns]!;
    out[i] = sum / total;
  }
  return out;
}
