// Matrices at 4 or 8 bits: each row is cut into blocks, each block keeps one float32 scale and whole numbers on both sides of
// a zero point in the middle. The layout is that of ONNX Runtime's MatMulNBits (runtime/weight-source.ts).

import type { BlockFormat } from "../runtime/weight-source.ts";

export interface QuantizedBlocks {
  /** u8, block*bits/8 for each block. */
  readonly values: Uint8Array;
  /** One for each block. */
  readonly scales: Float32Array;
}

/** The elements that blocks stand for. */
export function dequantize({ values, scales }: QuantizedBlocks, { bits, block }: BlockFormat): Float32Array {
  const middle = zeroPoint(bits);
  const elements = new Float32Array(scales.length * block);
  for (let b = 0; b < scales.length; b++) {
    const scale = scales[b]!;
    const start = b * block;
    if (bits === 8) for (let i = start; i < start + block; i++) elements[i] = (values[i]! - middle) * scale;
    else {
      for (let i = start; i < start + block; i += 2) {
        const pair = values[i >>> 1]!;
        elements[i] = ((pair & 15) - middle) * scale;
        elements[i + 1] = ((pair >> 4) - middle) * scale;
      }
    }
  }
  return elements;
}

/** The number that stands for 0. */
export function zeroPoint(bits: BlockFormat["bits"]): number {
  return 2 ** (bits - 1);
}
