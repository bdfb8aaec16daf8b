// Keeps sequences that were read, so that a row which begins like one of them pays only for what is new: the next turn of a
// conversation, another question to the same image, the same system prompt.

import { type BlockIds, slotsPerBlock } from "../sequence/layout.ts";
import type { UnifiedQwen3Config } from "./config.ts";
import type { LanguageModel, Sequence } from "./language-model.ts";

/** Some 1,700 positions of the released model, which take 304 KiB each. */
const MOST_USUAL_BYTES = 2 ** 29;
/** Rows of the greatest length; a small model's take little. */
const USUAL_ROWS = 8;

/** The memory that kept sequences have unless said otherwise. */
export function usualCacheBytes(config: UnifiedQwen3Config): number {
  const { num_layers, num_kv_heads, head_dim, embed_dim, max_seq_len } = config;
  const position = (2 * num_layers * num_kv_heads * head_dim + embed_dim) * Float32Array.BYTES_PER_ELEMENT;
  return Math.min(USUAL_ROWS * max_seq_len * position, MOST_USUAL_BYTES);
}

export class PrefixCache {
  readonly #model: LanguageModel;
  readonly #maxBytes: number;
  /** Of nobody at the moment; the one used last comes last. */
  readonly #idle: Sequence[] = [];

  /** Keeps sequences of the model up to `maxBytes` together; with 0 none. */
  constructor(model: LanguageModel, maxBytes: number) {
    this.#model = model;
    this.#maxBytes = maxBytes;
  }

  /** Memory of what is kept. */
  get bytes(): number {
    return this.#idle.reduce((sum, { bytes }) => sum + bytes, 0);
  }

  /**
   * A sequence that has read as much of the beginning of `row` [T, N+1] as any kept one has, and nothing else. It is the
   * caller's alone, until `keep`.
   */
  take(row: BlockIds): Sequence {
    let best: Sequence | undefined;
    let shared = 0;
    for (const sequence of this.#idle) {
      const blocks = this.#sharedBlocks(sequence.blocks, row);
      if (blocks >= shared && blocks > 0) [best, shared] = [sequence, blocks];
    }
    if (!best) return this.#model.start();
    // A copy costs memory, and taking the sequence itself costs what it has read beyond: somebody may come back for that.
    if (best.length - shared > shared) return best.fork(shared);
    this.#idle.splice(this.#idle.indexOf(best), 1);
    best.truncate(shared);
    return best;
  }

  /** Keeps a sequence that its user is done with, in place of those that it begins with. The oldest give way. */
  keep(sequence: Sequence): void {
    if (sequence.length === 0) return;
    const isLeft = (other: Sequence) => this.#sharedBlocks(other.blocks, sequence.blocks) < other.length;
    this.#idle.splice(0, this.#idle.length, ...this.#idle.filter(isLeft), sequence);
    while (this.bytes > this.#maxBytes) this.#idle.shift();
  }

  /** How many blocks two rows have in common at their beginnings. */
  #sharedBlocks(a: BlockIds, b: BlockIds): number {
    const most = Math.min(a.length, b.length);
    let same = 0;
    while (same < most && a[same] === b[same]) same++;
    return Math.floor(same / slotsPerBlock(this.#model.vocabulary));
  }
}
