// Matrices at 4 or 8 bits: each row is cut into blocks, each block keeps one float32 scale and whole numbers on both sides of
// a zero point in the middle. The layout is that of ONNX Runtime's MatMulNBits (runtime/weight-source.ts).

import type { BlockFormat } from "../runtime/weight-source.ts";

export interface QuantizedBlocks {
  /** u8, block*bits/8 for each block. */
  readonly values: Uint8Array;
  /** One for each block. */
  readonly scales: Float32Array;
}

/** Rounds elements, whose number is a multiple of the block, to the nearest of 16 or 256 steps of their block's scale. */
export function quantize(elements: Float32Array, { bits, block }: BlockFormat): QuantizedBlocks {
  const middle = zeroPoint(bits);
  const scales = new Float32Array(elements.length / block);
  const values = new Uint8Array((elements.length * bits) / 8);
  for (let b = 0; b < scales.length; b++) {
    // The largest element becomes the end of the range that reaches further, -middle.
    const scale = farthestFromZero(elements, b * block, (b + 1) * block) / -middle;
    scales[b] = scale;
    for (let i = b * block; i < (b + 1) * block; i++) {
      const steps = scale === 0 ? 0 : Math.round(elements[i]! / scale);
      const stored = Math.min(steps, middle - 1) + middle;
      if (bits === 8) values[i] = stored;
      else values[i >>> 1]! |= stored << (4 * (i & 1));
    }
  }
  return { values, scales };
}

function farthestFromZero(elements: Float32Array, start: number, end: number): number {
  let farthest = 0;
  for (let i = start; i < end; i++) if (Math.abs(elements[i]!) > Math.abs(farthest)) farthest = elements[i]!;
  return farthest;
}

/** The elements that blocks stand for. */
export function dequantize({ values, scales }: QuantizedBlocks, { bits, block }: BlockFormat): Float32Array {
  const middle = zeroPoint(bits);
  const elements = new Float32Array(scales.length * block);
  for (let i = 0; i < elements.length; i++) {
    const stored = bits === 8 ? values[i]! : (values[i >>> 1]! >> (4 * (i & 1))) & 15;
    elements[i] = (stored - middle) * scales[Math.floor(i / block)]!;
  }
  return elements;
}

/** The number that stands for 0. */
function zeroPoint(bits: BlockFormat["bits"]): number {
  return 2 ** (bits - 1);
}
