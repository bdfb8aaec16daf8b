// Many random bytes quickly: weights whose values do not matter, only that they are not all alike.

/** Fills whole words by xorshift32 (Marsaglia, 2003); the same seed gives the same bytes. */
export function fillRandomBytes(bytes: Uint8Array, seed: number): Uint8Array {
  const words = new Uint32Array(bytes.buffer, bytes.byteOffset, bytes.byteLength >>> 2);
  let state = (seed * 2 + 1) | 0;
  for (let i = 0; i < words.length; i++) {
    state ^= state << 13;
    state ^= state >>> 17;
    state ^= state << 5;
    words[i] = state;
  }
  return bytes;
}
