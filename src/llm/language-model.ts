// The language model ready to run: the trunk with its cache as one session (prefill and single steps are the same graph),
// the token head as another. Sequence reads blocks, keeps their hidden states and scores the next block's slots.

import { rotary1d } from "../nn/rotary.ts";
import { f32, type HostTensor, i32 } from "../runtime/host-tensor.ts";
import { openSession, type Session, type SessionOptions, type WeightSource } from "../runtime/session.ts";
import { blockInputs } from "../sequence/blocks.ts";
import { type BlockIds, type BlockVocabulary, blockCount } from "../sequence/layout.ts";
import { Graph } from "../tensor/graph.ts";
import { KeyValueCache } from "./cache.ts";
import { blockVocabulary, type LanguageModelConfig } from "./config.ts";
import { drawFeeds, generationGraphs, type MatrixName } from "./generation-graphs.ts";
import { cacheMask, HIDDEN } from "./mask.ts";
import type { SamplingOptions } from "./sampling.ts";

export class LanguageModel {
  readonly config: LanguageModelConfig;
  readonly vocabulary: BlockVocabulary;
  readonly #open: (graph: Graph) => Promise<Session>;
  readonly #matrix: MatrixName;
  readonly #sessions = new Map<string, Promise<Session>>();

  private constructor(config: LanguageModelConfig, weights: WeightSource, options: SessionOptions) {
    this.config = config;
    this.vocabulary = blockVocabulary(config.qwen);
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
    const sessions = [...this.#sessions.values()];
    this.#sessions.clear();
    await Promise.all(sessions.map(async (session) => (await session).release()));
  }

  /** The session of one part, opened on first use. For Sequence. */
  session(part: keyof typeof generationGraphs): Promise<Session> {
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

/** One row of blocks being read and written. */
export class Sequence {
  readonly #model: LanguageModel;
  readonly #cache: KeyValueCache;
  readonly #hidden: Float32Array[] = [];
  #mask: { readonly capacity: number; readonly values: Float32Array } | undefined;

  constructor(model: LanguageModel) {
    const { num_layers, num_kv_heads, head_dim } = model.config.qwen;
    this.#model = model;
    this.#cache = new KeyValueCache({ layers: num_layers, heads: num_kv_heads, width: head_dim });
  }

  /** Blocks read. */
  get length(): number {
    return this.#cache.length;
  }

  /** Makes room for so many blocks at once, where their number is known. */
  reserve(length: number): void {
    this.#cache.reserve(length);
  }

  /** Reads blocks [S, N+1] at the positions after those already read. */
  async read(blocks: BlockIds): Promise<void> {
    const { config, vocabulary } = this.#model;
    const { n_q_tokens: N, head_dim: E, rope_base } = config.qwen;
    const S = blockCount(blocks, vocabulary);
    if (S === 0) return;
    const { index, weight } = blockInputs(blocks, vocabulary);
    const rope = rotary1d(
      Array.from({ length: S }, (_, i) => this.length + i),
      E,
      rope_base,
    );
    const session = await this.#model.session("trunk");
    const C = this.#cache.length === 0 ? 1 : this.#cache.feedCapacity;
    const cache = this.#cache.length === 0 ? new KeyValueCache(this.#cache.shape) : this.#cache;
    const { hidden, added } = await session.run({
      index: i32(index, [1, S, N]),
      weight: f32(weight, [1, S, N]),
      cos: f32(rope.cos, [S, E / 2]),
      sin: f32(rope.sin, [S, E / 2]),
      mask: f32(this.#maskFor(S, C), [S, C + S]),
      ...cache.feeds(),
    });
    this.#cache.append(values(added), S);
    const D = config.qwen.embed_dim;
    for (let t = 0; t < S; t++) this.#hidden.push(values(hidden).subarray(t * D, (t + 1) * D));
  }

  /** Hidden states at blocks start .. end-1, before the final norm: [end-start, D]. */
  hidden(start: number, end: number): Float32Array {
    const D = this.#model.config.qwen.embed_dim;
    const out = new Float32Array((end - start) * D);
    this.#hidden.slice(start, end).forEach((row, t) => {
      out.set(row, t * D);
    });
    return out;
  }

  /** Scores [V+S] of slot i of the next block, given the ids of its slots before. */
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

  /**
   * Draws a whole visual block, slot i from book i, and says whether vision_end is likelier than its first id.
   * `gumbel` gives the noise of a slot and a rank; it is not asked when the choice is greedy.
   */
  async drawVisualBlock(
    sampling: SamplingOptions,
    gumbel: (slot: number, rank: number) => number,
  ): Promise<{ readonly ids: Int32Array; readonly isEndLikelier: boolean }> {
    const session = await this.#model.session("picture");
    const { ids, scores } = await session.run({
      hidden: this.#last(),
      ...drawFeeds(sampling, gumbel, this.#model.vocabulary),
    });
    const [first, end] = values(scores) as unknown as [number, number];
    return { ids: ids!.data as Int32Array, isEndLikelier: end > first };
  }

  #last(): HostTensor {
    const row = this.#hidden.at(-1);
    if (!row) throw new Error("nothing has been read yet: a sequence needs at least one block before it can predict");
    return f32(row, [1, row.length]);
  }

  /** The mask of S new blocks; that of single steps is kept and only widened. */
  #maskFor(S: number, C: number): Float32Array {
    if (S !== 1) return cacheMask(S, this.length, C);
    if (this.#mask?.capacity !== C) this.#mask = { capacity: C, values: new Float32Array(C + 1).fill(HIDDEN) };
    this.#mask.values.fill(0, 0, this.length);
    this.#mask.values[C] = 0;
    return this.#mask.values;
  }
}

/** A float result's values. */
function values(tensor: HostTensor | undefined): Float32Array {
  return tensor!.data as Float32Array;
}
