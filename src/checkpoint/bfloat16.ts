// bfloat16 and float16 as bit patterns, to and from float32. Checkpoints are stored in them; we compute in float32.

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

export function bf16ToF32(bits: Uint16Array): Float32Array {
  const out = new Uint32Array(bits.length);
  for (let i = 0; i < out.length; i++) out[i] = bits[i]! << 16;
  return new Float32Array(out.buffer);
}

export function f16ToF32(bits: Uint16Array): Float32Array {
  const out = new Float32Array(bits.length);
  for (let i = 0; i < out.length; i++) {
    const exponent = (bits[i]! >>> 10) & 31;
    const fraction = bits[i]! & 1023;
    const sign = bits[i]! & 0x8000 ? -1 : 1;
    if (exponent === 31) out[i] = fraction ? Number.NaN : sign * Number.POSITIVE_INFINITY;
    else out[i] = sign * (exponent ? (1024 + fraction) * 2 ** (exponent - 25) : fraction * 2 ** -24);
  }
  return out;
}
