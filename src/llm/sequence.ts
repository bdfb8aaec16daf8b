// One row of blocks being read and written. What it asks for goes through the scheduler, which runs it together with what other
// sequences ask for at the same time.

import { joinFloats } from "../runtime/host-tensor.ts";
import { type BlockIds, slotsPerBlock } from "../sequence/layout.ts";
import { type CacheRows, countPositions, firstPositions } from "./cache.ts";
import type { VisualDraw } from "./generation-graphs.ts";
import type { LanguageModel } from "./language-model.ts";
import type { SamplingOptions } from "./sampling.ts";

export interface ReadOptions {
  /** Before each run an abort throws its reason; what was read until then stays. */
  readonly signal?: AbortSignal | undefined;
  /** Blocks of it that one run reads at most; the model's own choice if absent. */
  readonly blocksPerRun?: number | undefined;
}

export class Sequence {
  readonly #model: LanguageModel;
  /** Keys and values, shared with forks. */
  #rows: CacheRows[] = [];
  #length = 0;
  /** [length, N+1] */
  #blocks: Int32Array = new Int32Array(0);
  readonly #hidden: Float32Array[] = [];
  #hasCompany = false;

  constructor(model: LanguageModel) {
    this.#model = model;
  }

  /** Blocks read. */
  get length(): number {
    return this.#length;
  }

  /** The blocks read, [length, N+1]. */
  get blocks(): BlockIds {
    return this.#blocks.subarray(0, this.#length * slotsPerBlock(this.#model.vocabulary));
  }

  /** Their keys and values. */
  get rows(): readonly CacheRows[] {
    return this.#rows;
  }

  /** What it takes in memory beside its rows, which others may share. */
  get ownBytes(): number {
    return this.#blocks.byteLength + this.#length * this.#model.config.qwen.embed_dim * Float32Array.BYTES_PER_ELEMENT;
  }

  /** Whether it has the model to itself at the moment. */
  get isAlone(): boolean {
    return this.#model.scheduler.isAlone(this);
  }

  /** Says that a run has rows of others too, or that a piece is cut for their sake: results may be rounded differently. */
  joinCompany(): void {
    this.#hasCompany = true;
  }

  /** Whether all that it has read and written came of runs of its own: the same row of blocks then gives the same bits. */
  get isOwn(): boolean {
    return !this.#hasCompany;
  }

  /** Reads blocks [S, N+1] at the positions after those already read. */
  read(blocks: BlockIds, { signal, blocksPerRun = this.#model.blocksPerRun }: ReadOptions = {}): Promise<void> {
    return this.#model.scheduler.read(this, blocks, blocksPerRun, signal);
  }

  /** Adds blocks that a run has read: their rows and their hidden states [S, D], before the final norm. */
  append(blocks: BlockIds, rows: CacheRows, hidden: Float32Array): void {
    const held = this.blocks;
    const length = held.length + blocks.length;
    if (length > this.#blocks.length) {
      this.#blocks = new Int32Array(2 * length);
      this.#blocks.set(held);
    }
    this.#blocks.set(blocks, held.length);
    this.#rows.push(rows);
    this.#length += rows.count;
    const D = hidden.length / rows.count;
    for (let t = 0; t < rows.count; t++) this.#hidden.push(hidden.subarray(t * D, (t + 1) * D));
  }

  /** Forgets all but the first `length` blocks. */
  truncate(length: number): void {
    if (length >= this.#length) return;
    this.#rows = firstPositions(this.#rows, length);
    this.#length = length;
    this.#hidden.length = length;
  }

  /** Another sequence that has read the first `length` blocks of this one. It shares what was read. */
  fork(length: number): Sequence {
    const copy = new Sequence(this.#model);
    copy.#rows = firstPositions(this.#rows, length);
    copy.#length = countPositions(copy.#rows);
    copy.#blocks = this.#blocks.slice(0, copy.#length * slotsPerBlock(this.#model.vocabulary));
    copy.#hidden.push(...this.#hidden.slice(0, copy.#length));
    copy.#hasCompany = copy.#length > 0; // a row that is read in other pieces is rounded differently
    return copy;
  }

  /** Hidden states at blocks start .. end-1, before the final norm: [end-start, D]. */
  hidden(start: number, end: number): Float32Array {
    return joinFloats(this.#hidden.slice(start, end));
  }

  /** For each of the last `count` blocks the scores [V] of the text that may follow it. */
  async scoreText(count = 1): Promise<Float32Array[]> {
    this.#needBlocks();
    return this.#model.scheduler.scoreText(this, count);
  }

  /**
   * Draws a whole visual block, slot i from book i: ids [N]; or nothing where vision_end came before, which it can if
   * `mayEnd`. `gumbel` gives the noise of a slot and a rank; it is not asked when the choice is greedy.
   */
  async drawVisualBlock(
    sampling: SamplingOptions,
    gumbel: VisualDraw["gumbel"],
    mayEnd = false,
  ): Promise<Int32Array | undefined> {
    this.#needBlocks();
    return this.#model.scheduler.drawVisualBlock(this, { sampling, gumbel, mayEnd });
  }

  #needBlocks(): void {
    if (this.#length === 0)
      throw new Error("nothing has been read yet: a sequence needs at least one block before it can predict");
  }
}
