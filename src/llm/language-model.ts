// The language model ready to run: the trunk with its cache as one session (prefill and single steps are the same graph),
// what scores the next block as others. Sequence reads blocks, keeps their hidden states and scores what may follow.

import { disposedError, ModelError } from "../errors.ts";
import { rotary1d } from "../nn/rotary.ts";
import { f32, type HostTensor, i32, joinFloats } from "../runtime/host-tensor.ts";
import { openSession, type Session, type SessionOptions, type WeightSource } from "../runtime/session.ts";
import { blockInputs } from "../sequence/blocks.ts";
import { type BlockIds, type BlockVocabulary, blockCount, bookRange, slotsPerBlock } from "../sequence/layout.ts";
import { Graph } from "../tensor/graph.ts";
import { KeyValueCache } from "./cache.ts";
import { blockVocabulary, type LanguageModelConfig } from "./config.ts";
import { drawFeeds, generationGraphs, type MatrixName } from "./generation-graphs.ts";
import { cacheMask, HIDDEN } from "./mask.ts";
import type { SamplingOptions } from "./sampling.ts";

export class LanguageModel {
  readonly config: LanguageModelConfig;
  readonly vocabulary: BlockVocabulary;
  /** Blocks that one run of its sequences reads at most, unless ReadOptions say otherwise. */
  readonly blocksPerRun: number;
  readonly #open: (graph: Graph) => Promise<Session>;
  readonly #matrix: MatrixName;
  readonly #sessions = new Map<string, Promise<Session>>();
  #isDisposed = false;

  private constructor(config: LanguageModelConfig, weights: WeightSource, options: SessionOptions) {
    this.config = config;
    this.vocabulary = blockVocabulary(config.qwen);
    this.blocksPerRun = options.widening === "run" ? BLOCKS_PER_WIDENING_RUN : BLOCKS_PER_RUN;
    this.#open = (graph) => openSession(graph, weights, options);
    this.#matrix = weights.find("model.model.output.weight") ? "output" : "lmHead";
  }

  /** Opens the trunk; the parts of the head are opened when they are first used. Throws when weights are missing. */
  static async open(
    config: LanguageModelConfig,
    weights: WeightSource,
    options: SessionOptions = {},
  ): Promise<LanguageModel> {
    const model = new LanguageModel(config, weights, options);
    await model.session("trunk");
    return model;
  }

  /** A new, empty sequence. Sequences of one model take turns; each holds its own cache. */
  start(): Sequence {
    return new Sequence(this);
  }

  /** Frees the sessions. Sequences of this model cannot be used any more. */
  async dispose(): Promise<void> {
    this.#isDisposed = true;
    const sessions = [...this.#sessions.values()].map((session) => session.catch(() => undefined));
    this.#sessions.clear();
    await Promise.all(sessions.map(async (session) => (await session)?.release()));
  }

  /** The session of one part, opened on first use. For Sequence. */
  async session(part: keyof typeof generationGraphs): Promise<Session> {
    if (this.#isDisposed) throw disposedError();
    let session = this.#sessions.get(part);
    if (!session) {
      const graph = new Graph();
      generationGraphs[part](graph, this.config, this.#matrix);
      session = this.#open(graph);
      this.#sessions.set(part, session);
    }
    return session;
  }
}

/** Blocks that one run reads at most: an abort waits for no more than that, and attention needs memory for its square. */
export const BLOCKS_PER_RUN = 128;
/** Where every run widens all weights anew, which takes as long as reading hundreds of blocks: few runs, long ones. */
const BLOCKS_PER_WIDENING_RUN = 1024;

export interface ReadOptions {
  /** Between runs an abort throws its reason; what was read until then stays. */
  readonly signal?: AbortSignal | undefined;
  readonly blocksPerRun?: number | undefined;
}

/** One row of blocks being read and written. */
export class Sequence {
  readonly #model: LanguageModel;
  #cache: KeyValueCache;
  /** [length, N+1] */
  #blocks: Int32Array;
  readonly #hidden: Float32Array[] = [];
  #mask: { readonly capacity: number; readonly values: Float32Array; seen: number } | undefined;

  constructor(model: LanguageModel) {
    const { num_layers, num_kv_heads, head_dim } = model.config.qwen;
    this.#model = model;
    this.#cache = new KeyValueCache({ layers: num_layers, heads: num_kv_heads, width: head_dim });
    this.#blocks = new Int32Array(0);
  }

  /** Blocks read. */
  get length(): number {
    return this.#cache.length;
  }

  /** The blocks read, [length, N+1]. */
  get blocks(): BlockIds {
    return this.#blocks.subarray(0, this.length * slotsPerBlock(this.#model.vocabulary));
  }

  /** What it takes in memory. */
  get bytes(): number {
    const hidden = this.length * this.#model.config.qwen.embed_dim * Float32Array.BYTES_PER_ELEMENT;
    return this.#cache.bytes + this.#blocks.byteLength + hidden;
  }

  /** Reads blocks [S, N+1] at the positions after those already read. */
  async read(blocks: BlockIds, { signal, blocksPerRun = this.#model.blocksPerRun }: ReadOptions = {}): Promise<void> {
    const step = blocksPerRun * slotsPerBlock(this.#model.vocabulary);
    for (let at = 0; at < blocks.length; at += step) {
      signal?.throwIfAborted();
      await this.#readAtOnce(blocks.subarray(at, at + step));
    }
  }

  /** Forgets all but the first `length` blocks. */
  truncate(length: number): void {
    this.#cache.truncate(length);
    this.#hidden.length = this.length;
  }

  /** Another sequence that has read the first `length` blocks of this one. */
  fork(length: number): Sequence {
    const copy = new Sequence(this.#model);
    copy.#cache = this.#cache.fork(length);
    copy.#blocks = this.#blocks.slice(0, copy.length * slotsPerBlock(this.#model.vocabulary));
    copy.#hidden.push(...this.#hidden.slice(0, copy.length));
    return copy;
  }

  /** Hidden states at blocks start .. end-1, before the final norm: [end-start, D]. */
  hidden(start: number, end: number): Float32Array {
    return joinFloats(this.#hidden.slice(start, end));
  }

  /** For each of the last `count` blocks the scores [V] of the text that may follow it. */
  async scoreText(count = 1): Promise<Float32Array[]> {
    this.#needBlocks();
    const V = this.#model.vocabulary.vocabSize;
    const D = this.#model.config.qwen.embed_dim;
    const session = await this.#model.session("text");
    const { logits } = await session.run({ hidden: f32(this.hidden(this.length - count, this.length), [count, D]) });
    return Array.from({ length: count }, (_, i) => values(logits).subarray(i * V, (i + 1) * V));
  }

  /**
   * Draws a whole visual block, slot i from book i: ids [N]; or nothing where vision_end came before, which it can if
   * `mayEnd`. `gumbel` gives the noise of a slot and a rank; it is not asked when the choice is greedy.
   */
  async drawVisualBlock(
    sampling: SamplingOptions,
    gumbel: (slot: number, rank: number) => number,
    mayEnd = false,
  ): Promise<Int32Array | undefined> {
    const { vocabulary } = this.#model;
    const session = await this.#model.session("image");
    const { ids } = await session.run({ hidden: this.#last(), ...drawFeeds(sampling, gumbel, mayEnd, vocabulary) });
    const drawn = ids!.data as Int32Array;
    return drawn[0] === bookRange(0, vocabulary)[1] ? undefined : drawn;
  }

  /** Scores [V+S] of slot i of the next block over all entries, given the ids of its slots before. */
  async scoreSlot(before: readonly number[]): Promise<Float32Array> {
    const N = this.#model.vocabulary.codesPerPatch;
    const ids = Int32Array.from({ length: Math.max(N - 1, 1) }, (_, j) => before[j] ?? 0);
    const session = await this.#model.session("slot");
    const { logits } = await session.run({
      hidden: this.#last(),
      ids: i32(ids, [ids.length]),
      slot: i32([before.length], [1]),
    });
    return values(logits);
  }

  async #readAtOnce(blocks: BlockIds): Promise<void> {
    const { config, vocabulary } = this.#model;
    const { n_q_tokens: N, head_dim: E, embed_dim: D, rope_base } = config.qwen;
    const S = blockCount(blocks, vocabulary);
    const { index, weight } = blockInputs(blocks, vocabulary);
    const rope = rotary1d(
      Array.from({ length: S }, (_, i) => this.length + i),
      E,
      rope_base,
    );
    const session = await this.#model.session("trunk");
    const { hidden, added } = await session.run({
      index: i32(index, [1, S, N]),
      weight: f32(weight, [1, S, N]),
      cos: f32(rope.cos, [S, E / 2]),
      sin: f32(rope.sin, [S, E / 2]),
      mask: this.#maskFor(S),
      ...this.#cache.feeds(),
    });
    // NaN and infinity spread to the last row of any that they are in; argmax would take them for the first id.
    if (
      !values(hidden)
        .subarray((S - 1) * D)
        .every(Number.isFinite)
    )
      throw new ModelError("the language model's hidden states are not finite: its weights are damaged");
    this.#record(blocks);
    this.#cache.append(values(added), S);
    for (let t = 0; t < S; t++) this.#hidden.push(values(hidden).subarray(t * D, (t + 1) * D));
  }

  /** Keeps the ids of blocks that follow those read. */
  #record(blocks: BlockIds): void {
    const held = this.blocks;
    const length = held.length + blocks.length;
    if (length > this.#blocks.length) {
      this.#blocks = new Int32Array(2 * length);
      this.#blocks.set(held);
    }
    this.#blocks.set(blocks, held.length);
  }

  #last(): HostTensor {
    this.#needBlocks();
    const row = this.#hidden.at(-1)!;
    return f32(row, [1, row.length]);
  }

  #needBlocks(): void {
    if (this.length === 0)
      throw new Error("nothing has been read yet: a sequence needs at least one block before it can predict");
  }

  /** The mask [S, C+S] of S new blocks; that of single steps is kept and only changed where it differs. */
  #maskFor(S: number): HostTensor {
    const C = this.#cache.feedCapacity;
    if (S !== 1) return f32(cacheMask(S, this.length, C), [S, C + S]);
    if (this.#mask?.capacity !== C) this.#mask = { capacity: C, values: cacheMask(1, 0, C), seen: 0 };
    const { values, seen } = this.#mask;
    if (seen < this.length) values.fill(0, seen, this.length);
    else values.fill(HIDDEN, this.length, seen);
    this.#mask.seen = this.length;
    return f32(values, [1, C + 1]);
  }
}

/** A float result's values. */
function values(tensor: HostTensor | undefined): Float32Array {
  return tensor!.data as Float32Array;
}
