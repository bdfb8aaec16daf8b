// bfloat16 for checkpoints that are written.

/** Rounds to nearest, ties to even. NaN stays NaN, values beyond the largest bfloat16 become infinite. */
export function f32ToBf16(values: Float32Array): Uint16Array {
  const bits = new Uint32Array(values.buffer, values.byteOffset, values.length);
  const out = new Uint16Array(values.length);
  for (let i = 0; i < out.length; i++) {
    const b = bits[i]!;
    // Rounding could carry a NaN's mantissa into infinity, so NaN keeps its top bits and gains the quiet bit.
    out[i] = (b & 0x7fffffff) > 0x7f800000 ? (b >>> 16) | 0x40 : (b + 0x7fff + ((b >>> 16) & 1)) >>> 16;
  }
  return out;
}
