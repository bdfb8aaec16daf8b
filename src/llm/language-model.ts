// The language model ready to run: the trunk with its cache as one session (prefill and single steps are the same graph),
// the token head as another. Sequence reads blocks, keeps their hidden states and scores the next block's slots.

import { rotary1d } from "../nn/rotary.ts";
import { f32, type HostTensor, i32 } from "../runtime/host-tensor.ts";
import { openSession, type Session, type SessionOptions, type WeightSource } from "../runtime/session.ts";
import { blockInputs } from "../sequence/blocks.ts";
import { type BlockIds, type BlockVocabulary, blockCount, bookRange } from "../sequence/layout.ts";
import { addDims } from "../tensor/dims.ts";
import { Graph } from "../tensor/graph.ts";
import type { Params } from "../tensor/params.ts";
import { concat, type Tensor } from "../tensor/tensor.ts";
import { cacheInput, KeyValueCache } from "./cache.ts";
import { blockVocabulary, type LanguageModelConfig } from "./config.ts";
import type { KeyValue } from "./decoder.ts";
import { embeddingTable } from "./embedding.ts";
import { cacheMask, HIDDEN } from "./mask.ts";
import { languageModelPaths, readBlocks } from "./model.ts";
import { finalNorm, outputMatrix } from "./output.ts";
import { isGreedy, type SamplingOptions } from "./sampling.ts";
import { teacherForced, tokenHead } from "./token-head.ts";

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
  static async open(config: LanguageModelConfig, weights: WeightSource, options: SessionOptions = {}): Promise<LanguageModel> {
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
  session(part: keyof typeof parts): Promise<Session> {
    let session = this.#sessions.get(part);
    if (!session) {
      const graph = new Graph();
      parts[part](graph, this.config, this.#matrix);
      session = this.#open(graph);
      this.#sessions.set(part, session);
    }
    return session;
  }
}

/** Generation takes `model.model.output`; a checkpoint that has only the training's matrix is read as well. */
type MatrixName = "output" | "lmHead";

/** The graphs of generation: what each declares and computes. */
const parts = {
  /** S new blocks after C cached ones -> hidden [1, S, D] (not normed) and the new rows of the cache. */
  trunk: (graph: Graph, config: LanguageModelConfig): void => {
    const { qwen } = config;
    const groups = [1, "S", qwen.n_q_tokens];
    const angles = ["S", qwen.head_dim / 2];
    const row = [1, qwen.num_kv_heads, "C", qwen.head_dim];
    const cache = Array.from({ length: qwen.num_layers }, (_, l): KeyValue => ({
      keys: graph.input(cacheInput(2 * l), row),
      values: graph.input(cacheInput(2 * l + 1), row),
    }));
    const blocks = {
      index: graph.input("index", groups, "i32"),
      weight: graph.input("weight", groups),
      cos: graph.input("cos", angles),
      sin: graph.input("sin", angles),
      mask: graph.input("mask", ["S", addDims("C", "S")]),
    };
    const { decoded } = readBlocks(graph.params, blocks, config, cache);
    graph.output("hidden", decoded.hidden.at(-1)!);
    graph.output("added", concat(decoded.added.flatMap(({ keys, values }) => [keys, values]), 0)); // [2*layers, K, S, E]
  },

  /** hidden [1, D], the block's sub-tokens so far i32 [N-1], slot i32 [1] -> logits [1, V+S] of that slot. */
  slot: (graph: Graph, config: LanguageModelConfig, matrix: MatrixName): void => {
    const { n_q_tokens: N, embed_dim: D } = config.qwen;
    const hidden = graph.input("hidden", [1, D]);
    const ids = graph.input("ids", [Math.max(N - 1, 1)], "i32");
    const slot = graph.input("slot", [1], "i32");
    const { head, table, rows, score } = headParts(graph.params, config, matrix);
    // All slots at once: later ones cannot reach earlier ones, so what stands in them does not matter.
    const fed = N === 1 ? hidden.reshape([1, 1, D]) : teacherForced(hidden, table.gather(ids).reshape([1, N - 1, D]));
    const { output } = tokenHead(head, fed, config.head);
    graph.output("logits", score(output.reshape([-1, D]).gather(slot), rows));
  },

  /**
   * A whole visual block in one run: hidden [1, D] -> ids i32 [N], slot i from book i, each fed to the next; and the
   * score of the first id beside that of vision_end, [1, 2]. Drawing is taking the largest of scores + Gumbel noise.
   */
  picture: (graph: Graph, config: LanguageModelConfig, matrix: MatrixName): void => {
    const { qwen } = config;
    const { n_q_tokens: N, embed_dim: D } = qwen;
    const vocabulary = blockVocabulary(qwen);
    const { head, table, rows, score } = headParts(graph.params, config, matrix);
    const size = qwen.codebook_size / N;
    const draw: DrawInputs = {
      sharpness: graph.input("sharpness", [1]),
      topP: graph.input("top_p", [1]),
      beyondTopK: graph.input("beyond_top_k", [1, size]),
    };
    const noise = graph.input("noise", [N, size]).split(0, Array<number>(N).fill(1));
    let fed = graph.input("hidden", [1, D]);
    let past: readonly KeyValue[] | undefined;
    const chosen: Tensor[] = [];
    for (let i = 0; i < N; i++) {
      const { output, slots } = tokenHead(head, fed.reshape([1, 1, D]), config.head, past);
      past = slots;
      const [start, end] = bookRange(i, vocabulary);
      const logits = score(output.reshape([1, D]), rows.slice(0, start, end)); // [1, S/N]
      const code = drawCode(logits, draw, noise[i]!);
      if (i === 0) {
        const ending = score(output.reshape([1, D]), rows.slice(0, qwen.vision_end_token_id, qwen.vision_end_token_id + 1));
        graph.output("scores", concat([logits.pick(code).reshape([1, 1]), ending], 1));
      }
      const id = code.add(graph.constant(Int32Array.of(start), [1]));
      chosen.push(id);
      fed = table.gather(id);
    }
    graph.output("ids", concat(chosen, 0));
  },
};

/** Settings of drawCode that are the same for all slots; drawFeeds makes them. */
interface DrawInputs {
  /** [1] 1 / temperature */
  readonly sharpness: Tensor;
  /** [1] */
  readonly topP: Tensor;
  /** [1, S/N] by rank: 0 for the k largest scores, HIDDEN after them. */
  readonly beyondTopK: Tensor;
}

/** logits [1, S/N], Gumbel noise by rank [1, S/N] -> one code, i32 [1], by the rules of sampleId. */
function drawCode(logits: Tensor, { sharpness, topP, beyondTopK }: DrawInputs, noise: Tensor): Tensor {
  const { values, order } = logits.sortDescending();
  const scores = values.mul(sharpness).add(beyondTopK);
  const probabilities = scores.softmax();
  // Ranks whose predecessors already reach topP are pushed away, however little they are over it.
  const excess = probabilities.cumulativeSum().sub(probabilities).sub(topP).relu();
  return order.pick(scores.add(noise).add(excess.mul(HIDDEN)).argmax());
}

function headParts(root: Params, { qwen }: LanguageModelConfig, matrix: MatrixName) {
  const paths = languageModelPaths(root);
  const entries = qwen.vocab_size + qwen.codebook_size;
  return {
    head: paths.head,
    table: embeddingTable(paths.table, entries, qwen.embed_dim),
    rows: outputMatrix(paths[matrix], entries, qwen.embed_dim),
    /** x [R, D] against rows [n, D] of the output matrix -> [R, n] */
    score: (x: Tensor, rows: Tensor) => finalNorm(paths.trunk, x, qwen.norm_eps).linear(rows),
  };
}

/** Feeds of drawCode. Greedy is one candidate without noise. */
function drawFeeds(sampling: SamplingOptions, gumbel: (slot: number, rank: number) => number, vocabulary: BlockVocabulary) {
  const { codesPerPatch: N, codebookSize } = vocabulary;
  const size = codebookSize / N;
  const isLargest = isGreedy(sampling);
  const k = isLargest ? 1 : Math.min(sampling.topK || size, size);
  const noise = new Float32Array(N * size);
  for (let slot = 0; slot < N && !isLargest; slot++) {
    for (let rank = 0; rank < k; rank++) noise[slot * size + rank] = gumbel(slot, rank);
  }
  return {
    sharpness: f32([isLargest ? 1 : 1 / sampling.temperature], [1]),
    // Above every sum of probabilities when all count: those may round to a little more than 1.
    top_p: f32([sampling.topP < 1 ? sampling.topP : 2], [1]),
    beyond_top_k: f32(new Float32Array(size).fill(HIDDEN, k), [1, size]),
    noise: f32(noise, [N, size]),
  };
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
    const rope = rotary1d(Array.from({ length: S }, (_, i) => this.length + i), E, rope_base);
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
    const { logits } = await session.run({ hidden: this.#last(), ids: i32(ids, [ids.length]), slot: i32([before.length], [1]) });
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
    const { ids, scores } = await session.run({ hidden: this.#last(), ...drawFeeds(sampling, gumbel, this.#model.vocabulary) });
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
