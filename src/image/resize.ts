// Pillow's resize, bit for bit: the models were trained on images that it had scaled, and codecs' own resizes
// differ from it by 10 levels and more. Separable, horizontal first, each pass rounded to u8, weights in integers.

import type { RgbImage } from "./rgb.ts";

export type Filter = "bicubic" | "lanczos";

interface Kernel {
  /** Half of its width, in input pixels when not shrinking. */
  readonly support: number;
  readonly weight: (t: number) => number;
}

const kernels: Record<Filter, Kernel> = {
  bicubic: { support: 2, weight: bicubic },
  lanczos: { support: 3, weight: (t) => (Math.abs(t) < 3 ? sinc(t) * sinc(t / 3) : 0) },
};

/** Scales an image to [height, width, 3]; a pass that would not change its side is skipped. */
export function resize(image: RgbImage, width: number, height: number, filter: Filter = "bicubic"): RgbImage {
  const wide = width === image.width ? image : resizeRows(image, width, kernels[filter]);
  return height === wide.height ? wide : resizeColumns(wide, height, kernels[filter]);
}

function resizeRows({ width: inWidth, height, data }: RgbImage, width: number, kernel: Kernel): RgbImage {
  const taps = computeTaps(inWidth, width, kernel);
  const out = new Uint8Array(width * height * 3);
  for (let y = 0, to = 0; y < height; y++) {
    for (const { first, weights } of taps) {
      const from = (y * inWidth + first) * 3;
      for (let channel = 0; channel < 3; channel++) {
        let sum = ROUNDING;
        for (let k = 0; k < weights.length; k++) sum += data[from + 3 * k + channel]! * weights[k]!;
        out[to++] = toByte(sum);
      }
    }
  }
  return { width, height, data: out };
}

function resizeColumns({ width, height: inHeight, data }: RgbImage, height: number, kernel: Kernel): RgbImage {
  const stride = width * 3;
  const out = new Uint8Array(stride * height);
  let to = 0;
  for (const { first, weights } of computeTaps(inHeight, height, kernel)) {
    for (let x = 0; x < stride; x++) {
      let sum = ROUNDING;
      for (let k = 0; k < weights.length; k++) sum += data[(first + k) * stride + x]! * weights[k]!;
      out[to++] = toByte(sum);
    }
  }
  return { width, height, data: out };
}

const PRECISION_BITS = 22;
const ROUNDING = 2 ** (PRECISION_BITS - 1);

/** Sums fit 32 bits: 255 times weights that add to 2^22, a little more in size with negative lobes. */
function toByte(sum: number): number {
  const level = sum >> PRECISION_BITS;
  return Math.max(0, Math.min(255, level));
}

interface Taps {
  readonly first: number;
  /** Integer weights that sum to about 2^22. */
  readonly weights: Int32Array;
}

function computeTaps(inSize: number, outSize: number, kernel: Kernel): Taps[] {
  const scale = inSize / outSize;
  const filterScale = Math.max(scale, 1);
  const support = kernel.support * filterScale;
  return Array.from({ length: outSize }, (_, i) => {
    const centre = (i + 0.5) * scale;
    const first = Math.max(Math.trunc(centre - support + 0.5), 0);
    const end = Math.min(Math.trunc(centre + support + 0.5), inSize);
    const weights = Array.from({ length: end - first }, (_, k) =>
      kernel.weight((first + k - centre + 0.5) * (1 / filterScale)),
    );
    const total = weights.reduce((sum, weight) => sum + weight, 0);
    return {
      first,
      weights: Int32Array.from(weights, (weight) => roundHalfAway((weight / total) * 2 ** PRECISION_BITS)),
    };
  });
}

function roundHalfAway(value: number): number {
  return Math.trunc(value + (value < 0 ? -0.5 : 0.5));
}

function bicubic(t: number): number {
  const a = -0.5;
  const x = Math.abs(t);
  if (x < 1) return ((a + 2) * x - (a + 3)) * x * x + 1;
  return x < 2 ? (((x - 5) * x + 8) * x - 4) * a : 0;
}

function sinc(t: number): number {
  return t === 0 ? 1 : Math.sin(t * Math.PI) / (t * Math.PI);
}
