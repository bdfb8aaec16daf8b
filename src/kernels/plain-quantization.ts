// The quantizer in its plain form, which says what the numbers are; block-quantization.ts does the same in SIMD.

import { type QuantizedBlocks, zeroPoint } from "../checkpoint/block-quantization.ts";
import type { BlockFormat } from "../runtime/weight-source.ts";

/**
 * Where the largest element of a block is put, as a fraction of the range. Beyond 1 it is cut off, so that the others get
 * finer steps; below 1 the steps may happen to fit better. At 4 bits trying these gains 0.5 dB and trying 129 would add 0.1; at 8
 * bits the most to be had is 0.7 dB of 46 (docs/decisions/0004-quantised-weights.md).
 */
export const reaches: Readonly<Record<BlockFormat["bits"], readonly number[]>> = {
  4: [0.8, 0.85, 0.9, 0.95, 1, 1.05, 1.1, 1.15],
  8: [1],
};

/**
 * Elements, block after block, as whole steps of their block's scale, rounded to the nearest. Of a few scales the one with the
 * smallest squared error is taken, fitted to its rounded elements by least squares. This is the plain form, which says what the
 * numbers are; models are converted by the fast one (kernels/block-quantization.ts).
 */
export function quantize(elements: Float32Array, { bits, block }: BlockFormat): QuantizedBlocks {
  const middle = zeroPoint(bits);
  const scales = new Float32Array(elements.length / block);
  const values = new Uint8Array((elements.length * bits) / 8);
  for (let b = 0; b < scales.length; b++) {
    const [start, end] = [b * block, (b + 1) * block];
    const inverse = bestInverseScale(elements, start, end, bits);
    let products = 0;
    let squares = 0;
    for (let i = start; i < end; i++) {
      const steps = nearestStep(elements[i]!, inverse, middle);
      products += elements[i]! * steps;
      squares += steps * steps;
      if (bits === 8) values[i] = steps + middle;
      else values[i >>> 1]! |= (steps + middle) << (4 * (i & 1));
    }
    scales[b] = squares === 0 ? 0 : products / squares;
  }
  return { values, scales };
}

/** Of a block's candidates the scale, as 1/scale, whose least-squares fit leaves the smallest error; 0 for a block of zeros. */
function bestInverseScale(elements: Float32Array, start: number, end: number, bits: BlockFormat["bits"]): number {
  const middle = zeroPoint(bits);
  const farthest = farthestFromZero(elements, start, end);
  if (farthest === 0) return 0;
  let best = 0;
  let mostExplained = 0;
  for (const reach of reaches[bits]) {
    // The range reaches one step further below zero than above: there goes the largest element, whatever its sign.
    const inverse = inverseScale(-middle * reach, farthest);
    let products = 0;
    let squares = 0;
    for (let i = start; i < end; i++) {
      const steps = nearestStep(elements[i]!, inverse, middle);
      products += elements[i]! * steps;
      squares += steps * steps;
    }
    const explained = products ** 2 / squares; // sum of squares minus the squared error of the fit
    if (explained > mostExplained) [best, mostExplained] = [inverse, explained];
  }
  return best;
}

/** In float32, as the fast form has it; in float64 where the farthest element is so small that float32 has no such number. */
function inverseScale(steps: number, farthest: number): number {
  const inverse = steps / farthest;
  const rounded = Math.fround(Math.fround(steps) / farthest);
  return Number.isFinite(rounded) ? rounded : inverse;
}

/** Rounded like float32 in hardware, halves to the even number. */
function nearestStep(element: number, inverse: number, middle: number): number {
  const wanted = Math.fround(element * inverse);
  const nearest = Math.fround(wanted + wholeNumbers) - wholeNumbers;
  return Math.max(-middle, Math.min(middle - 1, nearest));
}

/** Added to a number of up to 22 bits it leaves float32 no digits for a fraction. */
const wholeNumbers = 1.5 * 2 ** 23;

/** Of a positive and a negative element that are equally far, the negative one. */
function farthestFromZero(elements: Float32Array, start: number, end: number): number {
  let highest = 0;
  let lowest = 0;
  for (let i = start; i < end; i++) {
    highest = Math.max(highest, elements[i]!);
    lowest = Math.min(lowest, elements[i]!);
  }
  return highest > -lowest ? highest : lowest;
}
