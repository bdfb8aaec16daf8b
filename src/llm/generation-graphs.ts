// The graphs of generation: the trunk over a cache, and what scores the next block: its text, a whole visual block in one run,
// or how likely a given one is. language-model.ts opens them.

import type { KeyValue } from "../nn/attention.ts";
import { f32, type HostTensor, hostTensor } from "../runtime/host-tensor.ts";
import { type BlockVocabulary, bookRange } from "../sequence/layout.ts";
import { addDims } from "../tensor/dims.ts";
import type { Graph } from "../tensor/graph.ts";
import type { Params } from "../tensor/params.ts";
import { concat, type Tensor } from "../tensor/tensor.ts";
import { cacheInput } from "./cache.ts";
import { blockVocabulary, type LanguageModelConfig } from "./config.ts";
import { embeddingTable } from "./embedding.ts";
import { HIDDEN } from "./mask.ts";
import { languageModelPaths, readBlocks } from "./model.ts";
import { finalNorm, outputMatrix } from "./output.ts";
import { isGreedy, type SamplingOptions } from "./sampling.ts";
import { teacherForced, tokenHead } from "./token-head.ts";

/** Generation takes `model.model.output`; a checkpoint that has only the training's matrix is read as well. */
export type MatrixName = "output" | "lmHead";

/** Declares and computes one graph. */
export type GraphTrace = (graph: Graph, config: LanguageModelConfig, matrix: MatrixName) => void;

/** What each graph declares and computes. */
export const generationGraphs = {
  /** S new blocks of each of B sequences after C cached ones -> hidden [B, S, D] (not normed) and the new rows of the cache. */
  trunk: (graph: Graph, config: LanguageModelConfig): void => {
    const { qwen } = config;
    const groups = ["B", "S", qwen.n_q_tokens];
    const angles = ["R", qwen.head_dim / 2];
    const row = ["B", qwen.num_kv_heads, 1, "C", qwen.head_dim];
    const cache = Array.from(
      { length: qwen.num_layers },
      (_, l): KeyValue => ({
        keys: graph.input(cacheInput(2 * l), row),
        values: graph.input(cacheInput(2 * l + 1), row),
      }),
    );
    const blocks = {
      index: graph.input("index", groups, "i32"),
      weight: graph.input("weight", groups),
      cos: graph.input("cos", angles),
      sin: graph.input("sin", angles),
      rows: graph.input("rows", ["B", "S"], "i64"),
      mask: graph.input("mask", ["B", 1, 1, "S", addDims("C", "S")]),
    };
    const { decoded } = readBlocks(graph.params, blocks, config, cache);
    graph.output("hidden", decoded.hidden.at(-1)!);
    graph.output(
      "added",
      concat(
        decoded.added.flatMap(({ keys, values }) => [keys, values]),
        0,
      ),
    ); // [2*layers*B, K, 1, S, E]
  },

  /** hidden [R, D] -> logits [R, V] of slot 0 over the text entries alone: what a text block needs, whose slot 1 is q_eos. */
  text: (graph: Graph, config: LanguageModelConfig, matrix: MatrixName): void => {
    const { vocab_size: V, embed_dim: D } = config.qwen;
    const { head, rows, score } = headParts(graph.params, config, matrix);
    const { output } = tokenHead(head, graph.input("hidden", ["R", D]).reshape(["R", 1, D]), config.head);
    graph.output("logits", score(output.reshape([-1, D]), rows.slice(0, 0, V)));
  },

  /**
   * Whole visual blocks of B sequences in one run: hidden [B, D] -> ids i32 [N*B], all of slot 0 first, slot i from book i, each
   * fed to the next. Of the output matrix only the rows of a slot's book are read, and at slot 0 that of vision_end: it has won when the first id is the
   * one after book 0. Drawing is taking the largest of scores + Gumbel noise.
   */
  image: (graph: Graph, config: LanguageModelConfig, matrix: MatrixName): void => {
    const { qwen } = config;
    const { n_q_tokens: N, embed_dim: D, vision_end_token_id: visionEnd } = qwen;
    const vocabulary = blockVocabulary(qwen);
    const { head, table, rows, score } = headParts(graph.params, config, matrix);
    const draw: DrawInputs = {
      count: graph.input("count", [1], "i64"),
      sharpness: graph.input("sharpness", ["B", 1]),
      topP: graph.input("top_p", ["B", 1]),
    };
    const noise = Array.from({ length: N }, (_, i) => graph.input(noiseInput(i), ["B", "k"]));
    const endBias = graph.input("end_bias", ["B", 1]);
    const noEnd = endBias.mul(0).add(HIDDEN);
    let fed = graph.input("hidden", ["B", D]);
    let past: readonly KeyValue[] | undefined;
    const chosen: Tensor[] = [];
    for (let i = 0; i < N; i++) {
      const { output, slots } = tokenHead(head, fed.reshape(["B", 1, D]), config.head, past);
      past = slots;
      const slot = output.reshape(["B", D]);
      const [start, end] = bookRange(i, vocabulary);
      const ending = i === 0 ? score(slot, rows.slice(0, visionEnd, visionEnd + 1)).add(endBias) : noEnd;
      const logits = concat([score(slot, rows.slice(0, start, end)), ending], 1); // [B, S/N+1]
      const id = drawCode(logits, draw, noise[i]!).add(graph.constant(Int32Array.of(start), [1]));
      chosen.push(id);
      fed = table.gather(id);
    }
    graph.output("ids", concat(chosen, 0));
  },

  /**
   * How likely given blocks are: hidden [R, D] of the positions before them, the sub-tokens i32 [R, N-1] that the head is fed, and of L
   * sub-tokens to score the places in [R, N] and the ids, i32 [L] -> their log-probabilities [L] over all entries.
   */
  likelihood: (graph: Graph, config: LanguageModelConfig, matrix: MatrixName): void => {
    const { n_q_tokens: N, embed_dim: D } = config.qwen;
    const hidden = graph.input("hidden", ["R", D]);
    const ids = graph.input("ids", ["R", Math.max(N - 1, 1)], "i32");
    const places = graph.input("places", ["L"], "i32");
    const labels = graph.input("labels", ["L"], "i32");
    const { head, table, rows, score } = headParts(graph.params, config, matrix);
    const fed = N === 1 ? hidden.reshape(["R", 1, D]) : teacherForced(hidden, table.gather(ids));
    const { output } = tokenHead(head, fed, config.head); // [R, N, D]
    const logits = score(output.reshape([-1, D]).gather(places), rows); // [L, V+S]
    graph.output("logProbabilities", logits.logSoftmax().pick(labels));
  },
};

export type GenerationPart = keyof typeof generationGraphs;

/** Declares every parameter of the language model of an autoregressive checkpoint: with both names of its output matrix. */
export function declareLanguageModel(graph: Graph, config: LanguageModelConfig): void {
  generationGraphs.trunk(graph, config);
  generationGraphs.text(graph, config, "output");
  headParts(graph.params, config, "lmHead");
}

/** The input of `image` with the noise of slot i, [B, k]. */
function noiseInput(i: number): string {
  return `noise.${i}`;
}

/** Settings of drawCode that are the same for all slots; drawFeeds makes them. */
interface DrawInputs {
  /** i64 [1]: so many of the largest scores are candidates, k in shapes. */
  readonly count: Tensor;
  /** [B, 1] 1 / temperature */
  readonly sharpness: Tensor;
  /** [B, 1] */
  readonly topP: Tensor;
}

/** logits [B, n], Gumbel noise by rank [B, k] -> an index of each row, i32 [B], by the rules of sampleId. */
function drawCode(logits: Tensor, { count, sharpness, topP }: DrawInputs, noise: Tensor): Tensor {
  const { values, order } = logits.largest(count, "k"); // [B, k]
  const scores = values.mul(sharpness);
  const probabilities = scores.softmax();
  // Ranks whose predecessors already reach topP are pushed away, however little they are over it.
  const excess = probabilities.cumulativeSum().sub(probabilities).sub(topP).relu();
  return order.pick(scores.add(noise).add(excess.mul(HIDDEN)).argmax());
}

/** The token head, the table that it is fed from, and what scores its results. */
export function headParts(root: Params, { qwen }: LanguageModelConfig, matrix: MatrixName) {
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

/** How one sequence's next visual block is drawn. */
export interface VisualDraw {
  readonly sampling: SamplingOptions;
  /** Noise of a slot and a rank; not asked when the choice is greedy. */
  readonly gumbel: (slot: number, rank: number) => number;
  /** Whether vision_end may come instead. */
  readonly mayEnd: boolean;
}

/** The candidates of each slot. Draws of one run have the same number: it is one for the whole graph. */
export function candidateCount({ sampling }: VisualDraw, { codesPerPatch: N, codebookSize }: BlockVocabulary): number {
  const most = codebookSize / N + 1;
  return isGreedy(sampling) ? 1 : Math.min(sampling.topK || most, most);
}

/** Feeds of `image` beside the hidden states, for draws with k candidates. Greedy is one candidate without noise. */
export function drawFeeds(draws: readonly VisualDraw[], k: number, N: number): Record<string, HostTensor> {
  const column = (value: (draw: VisualDraw) => number) => f32(draws.map(value), [draws.length, 1]);
  const noise = (slot: number) =>
    draws.flatMap(({ sampling, gumbel }) =>
      isGreedy(sampling) ? [0] : Array.from({ length: k }, (_, rank) => gumbel(slot, rank)),
    );
  return {
    count: hostTensor("i64", BigInt64Array.of(BigInt(k)), [1]),
    sharpness: column(({ sampling }) => (isGreedy(sampling) ? 1 : 1 / sampling.temperature)),
    // Above every sum of probabilities when all count: those may round to a little more than 1.
    top_p: column(({ sampling }) => (sampling.topP < 1 ? sampling.topP : 2)),
    end_bias: column(({ mayEnd }) => (mayEnd ? 0 : HIDDEN)),
    ...Object.fromEntries(Array.from({ length: N }, (_, i) => [noiseInput(i), f32(noise(i), [draws.length, k])])),
  };
}
