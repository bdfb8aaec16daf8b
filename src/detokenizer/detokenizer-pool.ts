// Detokenizers by their picture size: their graphs have one size each, so every shape of picture needs its own.
// Only a few stay open; one that is in use is never closed.

import type { Detokenizer } from "./detokenizer.ts";

/** Sizes that stay open while nobody uses them. */
const MAX_IDLE = 4;

interface Entry {
  readonly opening: Promise<Detokenizer>;
  users: number;
}

export class DetokenizerPool {
  /** By key, the longest unused first. */
  readonly #entries = new Map<string, Entry>();

  /** Works with the detokenizer that is known as `key`, which `open` makes if need be. */
  async use<T>(
    key: string,
    open: () => Promise<Detokenizer>,
    work: (detokenizer: Detokenizer) => Promise<T>,
  ): Promise<T> {
    const entry = this.#entries.get(key) ?? { opening: open(), users: 0 };
    this.#entries.delete(key);
    this.#entries.set(key, entry);
    entry.users++;
    try {
      return await work(await entry.opening);
    } catch (error) {
      // One that could not be opened is tried again next time.
      await entry.opening.catch(() => this.#entries.delete(key));
      throw error;
    } finally {
      entry.users--;
      await this.#close(MAX_IDLE);
    }
  }

  /** Closes all that nobody uses. */
  dispose(): Promise<void> {
    return this.#close(0);
  }

  async #close(limit: number): Promise<void> {
    const idle = [...this.#entries].filter(([, { users }]) => users === 0);
    const closing = idle.slice(0, Math.max(0, idle.length - limit));
    for (const [key] of closing) this.#entries.delete(key);
    await Promise.all(closing.map(async ([, { opening }]) => (await opening).dispose()));
  }
}
