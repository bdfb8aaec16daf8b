// The graphs of generation: the trunk over a cache, the token head one slot at a time, and a whole visual block in one run.
// language-model.ts opens and runs them.

import type { KeyValue } from "../nn/attention.ts";
import { f32 } from "../runtime/host-tensor.ts";
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

/** What each graph declares and computes. */
export const generationGraphs = {
  /** S new blocks after C cached ones -> hidden [1, S, D] (not normed) and the new rows of the cache. */
  trunk: (graph: Graph, config: LanguageModelConfig): void => {
    const { qwen } = config;
    const groups = [1, "S", qwen.n_q_tokens];
    const angles = ["S", qwen.head_dim / 2];
    const row = [1, qwen.num_kv_heads, "C", qwen.head_dim];
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
      mask: graph.input("mask", ["S", addDims("C", "S")]),
    };
    const { decoded } = readBlocks(graph.params, blocks, config, cache);
    graph.output("hidden", decoded.hidden.at(-1)!);
    graph.output(
      "added",
      concat(
        decoded.added.flatMap(({ keys, values }) => [keys, values]),
        0,
      ),
    ); // [2*layers, K, S, E]
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
        const ending = score(
          output.reshape([1, D]),
          rows.slice(0, qwen.vision_end_token_id, qwen.vision_end_token_id + 1),
        );
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
export function drawFeeds(
  sampling: SamplingOptions,
  gumbel: (slot: number, rank: number) => number,
  vocabulary: BlockVocabulary,
) {
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
