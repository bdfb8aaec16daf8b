// Remembers the codes of the images tokenized last, by their pixels: the next question to an image does not encode it again.

import { sha256 } from "../files/sha256.ts";
import type { RgbImage } from "../image/rgb.ts";
import { ImageCodes } from "./image-codes.ts";

export class CodeCache {
  readonly #limit: number;
  /** The one used last comes last. */
  readonly #codes = new Map<string, Promise<ImageCodes>>();

  /** Of at most `limit` images; 0 remembers none. */
  constructor(limit: number) {
    this.#limit = limit;
  }

  /**
   * The codes of an image: what `encode` gives, now or when it was last called for the same pixels and the same `variant`.
   * Callers that ask at the same time share one call.
   */
  async codesOf(image: RgbImage, variant: string, encode: () => Promise<ImageCodes>): Promise<ImageCodes> {
    // Images come from strangers too, who must not be able to make two of them collide.
    const hash = this.#limit === 0 ? undefined : await sha256(image.data as Uint8Array<ArrayBuffer>);
    if (hash === undefined) return encode();
    const key = `${variant} ${image.width} ${hash}`;
    const known = this.#codes.get(key) ?? encode();
    this.#codes.delete(key);
    this.#codes.set(key, known);
    const [oldest] = this.#codes.keys();
    if (this.#codes.size > this.#limit) this.#codes.delete(oldest!);
    try {
      const found = await known;
      return new ImageCodes({ ...found, codes: found.codes.slice() });
    } catch (error) {
      if (this.#codes.get(key) === known) this.#codes.delete(key);
      throw error;
    }
  }
}
