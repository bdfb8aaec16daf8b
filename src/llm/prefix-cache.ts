// Keeps sequences that were read, so that a row which begins like one of them pays only for what is new: the next turn of a
// conversation, another question to the same image, the same system prompt. What was read is shared, not copied.

import { type BlockIds, slotsPerBlock } from "../sequence/layout.ts";
import type { UnifiedQwen3Config } from "./config.ts";
import type { LanguageModel } from "./language-model.ts";
import type { Sequence } from "./sequence.ts";

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

interface Kept {
  /** Calls with another key do not see it. */
  readonly key: string | undefined;
  readonly sequence: Sequence;
}

export class PrefixCache {
  readonly #model: LanguageModel;
  readonly #maxBytes: number;
  /** Read no further by anybody; the one used last comes last. */
  #kept: Kept[] = [];
  /** Pieces of rows, and how often kept sequences have each: pieces are shared, and thousands. */
  readonly #pieces = new Map<Float32Array, number>();
  #bytes = 0;

  /** Keeps sequences of the model up to `maxBytes` together; with 0 none. */
  constructor(model: LanguageModel, maxBytes: number) {
    this.#model = model;
    this.#maxBytes = maxBytes;
  }

  /** Memory of what is kept. */
  get bytes(): number {
    return this.#bytes;
  }

  /**
   * A new sequence that has read as much of the beginning of `row` [T, N+1] as any that was kept under the same key, and nothing
   * else.
   */
  take(row: BlockIds, key?: string): Sequence {
    let best: Kept | undefined;
    let shared = 0;
    for (const kept of this.#kept) {
      if (kept.key !== key) continue;
      const blocks = this.#sharedBlocks(kept.sequence.blocks, row);
      if (blocks >= shared && blocks > 0) [best, shared] = [kept, blocks];
    }
    if (!best) return this.#model.start();
    this.#kept.push(...this.#kept.splice(this.#kept.indexOf(best), 1));
    return best.sequence.fork(shared);
  }

  /** Keeps a sequence that its user is done with, in place of those that it begins with. The oldest give way. */
  keep(sequence: Sequence, key?: string): void {
    if (sequence.length === 0) return;
    const isLeft = (other: Kept) =>
      other.key !== key || this.#sharedBlocks(other.sequence.blocks, sequence.blocks) < other.sequence.length;
    for (const other of this.#kept) if (!isLeft(other)) this.#count(other.sequence, -1);
    this.#kept = [...this.#kept.filter(isLeft), { key, sequence }];
    this.#count(sequence, 1);
    while (this.#bytes > this.#maxBytes) this.#count(this.#kept.shift()!.sequence, -1);
  }

  /** Adds what a sequence takes to `bytes`, or takes it away. */
  #count({ ownBytes, rows }: Sequence, change: 1 | -1): void {
    this.#bytes += change * ownBytes;
    for (const { data } of rows) {
      const before = this.#pieces.get(data) ?? 0;
      const after = before + change;
      if (after === 0) this.#pieces.delete(data);
      else this.#pieces.set(data, after);
      if (before === 0 || after === 0) this.#bytes += change * data.byteLength;
    }
  }

  /** How many blocks two rows have in common at their beginnings. */
  #sharedBlocks(a: BlockIds, b: BlockIds): number {
    const most = Math.min(a.length, b.length);
    let same = 0;
    while (same < most && a[same] === b[same]) same++;
    return Math.floor(same / slotsPerBlock(this.#model.vocabulary));
  }
}
