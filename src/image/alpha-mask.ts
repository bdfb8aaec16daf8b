// Masks as OpenAI's and the AI SDK's clients send them: transparent where to rewrite, whatever colour the rest has. The library's are white there.

import { MAX_PIXELS } from "./rgb.ts";
import { loadSharp } from "./sharp.node.ts";

/** A mask in the library's form; one without transparency is in it already. What cannot be decoded is left for the library to reject. */
export async function maskOf(bytes: Uint8Array): Promise<Uint8Array> {
  const sharp = await loadSharp();
  const image = sharp(Buffer.from(bytes.buffer, bytes.byteOffset, bytes.byteLength), { limitInputPixels: MAX_PIXELS });
  try {
    const { hasAlpha } = await image.metadata();
    if (!hasAlpha || (await image.stats()).isOpaque) return bytes;
    return new Uint8Array(await image.extractChannel("alpha").negate().png().toBuffer());
  } catch {
    return bytes;
  }
}
