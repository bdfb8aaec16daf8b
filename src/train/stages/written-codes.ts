// Codes as the language model would write them: at each position of an image, sampled from its prediction given the true
// codes before it. They have the mistakes of generated codes but still represent the original image.

import { type KeyeArConfig, languageModelConfig } from "../../llm/config.ts";
import { languageModelPaths, readBlocks } from "../../llm/model.ts";
import { finalNorm, outputMatrix } from "../../llm/output.ts";
import { type SamplingOptions, sampleId } from "../../llm/sampling.ts";
import type { CounterRandom } from "../../random/counter.ts";
import { i32 } from "../../runtime/host-tensor.ts";
import {
  openSession,
  type Session,
  type SessionOptions,
  type Values,
  type WeightSource,
} from "../../runtime/session.ts";
import { Graph } from "../../tensor/graph.ts";
import { concat } from "../../tensor/tensor.ts";
import { predictNextBlocks } from "../loss/scored-blocks.ts";
import { rowTables } from "../row-tables.ts";

/** The default sampling of images. */
const SAMPLING: SamplingOptions = { temperature: 1, topK: 0, topP: 0.8 };

export interface WriterSizes {
  /** Rows of a batch, blocks of a row, and positions of the image in each row. */
  readonly rows: number;
  readonly blocks: number;
  readonly positions: number;
}

export class CodeWriter {
  readonly #session: Session;
  readonly #sizes: WriterSizes;
  readonly #books: number;

  private constructor(session: Session, sizes: WriterSizes, books: number) {
    this.#session = session;
    this.#sizes = sizes;
    this.#books = books;
  }

  static async open(
    ar: KeyeArConfig,
    weights: WeightSource,
    sizes: WriterSizes,
    options: SessionOptions = {},
  ): Promise<CodeWriter> {
    const graph = new Graph();
    graph.output("scores", traceScores(graph, ar, sizes));
    return new CodeWriter(await openSession(graph, weights, options), sizes, ar.qwen_config.n_q_tokens);
  }

  /**
   * `rows` are the index and weight of blockInputs over all rows [B, T, N]; `starts` the block of each row's vision_start.
   * -> codes [B * positions, N]
   */
  async write(
    rows: Values,
    starts: readonly number[],
    random: CounterRandom,
    sampling = SAMPLING,
  ): Promise<Int32Array> {
    const { blocks: T, positions: M } = this.#sizes;
    const places = Int32Array.from(
      starts.flatMap((start, b) => Array.from({ length: M }, (_, k) => b * T + start + k)),
    );
    const next = places.map((place) => place + 1);
    const { scores } = await this.#session.run({
      ...rows,
      places: i32(places, [places.length]),
      next: i32(next, [next.length]),
    });
    const { data, shape } = scores!;
    const size = shape[2]!;
    return Int32Array.from({ length: places.length * this.#books }, (_, at) => {
      const own = (data as Float32Array).subarray(at * size, (at + 1) * size);
      return sampleId(own, [[0, size]], sampling, random.uniform(at));
    });
  }

  release(): Promise<void> {
    return this.#session.release();
  }
}

/** The trunk over B rows of T blocks, whose inputs are index and weight of blockInputs [B, T, N]. */
export function readRows(graph: Graph, ar: KeyeArConfig, B: number, T: number): ReturnType<typeof readBlocks> {
  const language = languageModelConfig(ar);
  const shape = [B, T, language.qwen.n_q_tokens];
  const blocks = { index: graph.input("index", shape, "i32"), weight: graph.input("weight", shape) };
  return readBlocks(graph.params, { ...blocks, ...rowTables(graph, T, language.qwen) }, language);
}

/** Scores of the entries of each slot's own book, [B * positions, N, S/N], the slots before it taken from the row. */
function traceScores(graph: Graph, ar: KeyeArConfig, { rows: B, blocks: T, positions: M }: WriterSizes) {
  const language = languageModelConfig(ar);
  const { qwen } = language;
  const { n_q_tokens: N, embed_dim: D } = qwen;
  const read = readRows(graph, ar, B, T);
  const [places, next] = [graph.input("places", [B * M], "i32"), graph.input("next", [B * M], "i32")];
  const { output } = predictNextBlocks(graph.params, read, places, next, language); // [B*M, N+1, D]
  const { trunk, lmHead } = languageModelPaths(graph.params);
  const normed = finalNorm(trunk, output, qwen.norm_eps);
  const matrix = outputMatrix(lmHead, qwen.vocab_size + qwen.codebook_size, D);
  const size = qwen.codebook_size / N;
  const scores = Array.from({ length: N }, (_, i) => {
    const start = qwen.vocab_size + i * size;
    return normed
      .slice(1, i, i + 1)
      .reshape([B * M, D])
      .linear(matrix.slice(0, start, start + size))
      .reshape([B * M, 1, size]);
  });
  return concat(scores, 1);
}
