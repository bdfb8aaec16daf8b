// Stage 3: the image side is frozen, and all heads and the language model that saw its features are dropped. A new language model, with
// the same initial values in every arm, learns to answer from codes alone: a position is a sum of randomly initialized embedding rows.
// In the continuous arm a position is a linear map of its features. This model is scored.

import { linear } from "../../src/nn/linear.ts";
import { type HostTensor, i32 } from "../../src/runtime/host-tensor.ts";
import { openSession, type Session, type WeightSource } from "../../src/runtime/session.ts";
import { Graph } from "../../src/tensor/graph.ts";
import { init } from "../../src/tensor/params.ts";
import type { Tensor } from "../../src/tensor/tensor.ts";
import { patchesOf } from "../../src/train/data/patch-images.ts";
import type { EncodedRow } from "../../src/train/data/rows.ts";
import { openCheckpointAt } from "../../src/train/open-checkpoint.ts";
import type { Stage } from "../../src/train/stage.ts";
import { answerFeeds } from "../../src/train/stages/tokenizer-batch.ts";
import { type AnswerSizes, embedImages, imageLayout, traceAnswers } from "../../src/train/stages/tokenizer-graph.ts";
import type { TracedLoss } from "../../src/train/train-graph.ts";
import { itemsOfStep, questionFeeds, readingOptions, type StageContext, tokensOf } from "./image-stage.ts";
import { type Item, itemOf, type Stream } from "./items.ts";
import { armModel, POSITIONS, rowSizes, SCORED_LENGTH, scoredSizes } from "./models.ts";
import type { Arm, SuiteName } from "./protocol.ts";

/** The frozen image side over batches of one size. */
export class FrozenEyes {
  readonly #arm: Arm;
  readonly #session: Session;
  readonly #close: () => Promise<void>;
  #counts: Float64Array | undefined;

  private constructor(arm: Arm, session: Session, close: () => Promise<void>) {
    this.#arm = arm;
    this.#session = session;
    this.#close = close;
  }

  static async open(arm: Arm, weights: string, context: StageContext): Promise<FrozenEyes> {
    const { batch } = context;
    const model = armModel(arm);
    const checkpoint = await openCheckpointAt(weights);
    const graph = new Graph();
    const pixels = graph.input("pixels", [batch * 4 * POSITIONS, 3 * 8 * 8]);
    const { embeddings, codes } = embedImages(graph, pixels, imageLayout(graph, model, batch), model);
    graph.output("seen", codes ?? embeddings);
    return new FrozenEyes(arm, await openSession(graph, checkpoint, readingOptions(context)), () => checkpoint.close());
  }

  /** The language model's image input: codes i32 [B*P, N], each counted from its codebook's start, or features f32 [B*P, D]. */
  async see(items: readonly Item[]): Promise<Record<"seen", HostTensor>> {
    const { seen } = await this.#session.run({
      pixels: patchesOf(
        items.map(({ image }) => image),
        8,
      ),
    });
    if (this.#arm.codes === 0) return { seen: seen! };
    const size = this.#arm.entries / this.#arm.codes;
    const codes = Int32Array.from(seen!.data as Int32Array, (code, at) => code + (at % this.#arm.codes) * size);
    if (this.#counts) for (const code of codes) this.#counts[code]!++;
    return { seen: i32(codes, seen!.shape) };
  }

  /** Starts counting codes. */
  startCounting(): void {
    this.#counts = new Float64Array(this.#arm.entries);
  }

  /** Stops counting. For the worst codebook: the share of entries used, and 2 to the entropy of their frequencies. */
  countedBooks(): { use: number; perplexity: number } | undefined {
    const { codes: N, entries } = this.#arm;
    const counts = this.#counts;
    this.#counts = undefined;
    if (N === 0 || !counts) return undefined;
    const books = Array.from({ length: N }, (_, i) => counts.subarray((i * entries) / N, ((i + 1) * entries) / N));
    const total = books[0]!.reduce((sum, count) => sum + count, 0);
    const bits = (book: Float64Array) =>
      book.reduce((sum, count) => (count > 0 ? sum - (count / total) * Math.log2(count / total) : sum), 0);
    return {
      use: Math.min(...books.map((book) => (book.filter((count) => count > 0).length * N) / entries)),
      perplexity: 2 ** Math.min(...books.map(bits)),
    };
  }

  async release(): Promise<void> {
    await this.#session.release();
    await this.#close();
  }
}

/** The language model's input at each position. [B*P, D] */
function readPositions(graph: Graph, arm: Arm, positions: number): Tensor {
  const { output_dim: D } = armModel(arm).config.tokenizer_config;
  const p = graph.params.at("reader");
  if (arm.codes === 0) return linear(p.at("features"), graph.input("seen", [positions, D]), D);
  const table = p.at("codes").get("weight", [arm.entries, D], init.normal(0.02));
  return table.gather(graph.input("seen", [positions, arm.codes], "i32")).sum([1]); // [B*P, N, D] -> [B*P, D]
}

function traceReader(graph: Graph, arm: Arm, sizes: AnswerSizes): TracedLoss {
  const positions = readPositions(graph, arm, sizes.batch * POSITIONS);
  return { loss: traceAnswers(graph, armModel(arm), sizes, positions) };
}

export function readerStage(arm: Arm, eyes: FrozenEyes, context: StageContext, firstStep: number): Stage {
  const { batch } = context;
  return {
    losses: { answers: (graph) => traceReader(graph, arm, rowSizes(batch)) },
    async batch(step) {
      const items = itemsOfStep(firstStep + step, context);
      const feeds = questionFeeds(items, armModel(arm), context, firstStep + step);
      return { loss: "answers", tokens: tokensOf(batch), feeds: { ...feeds, ...(await eyes.see(items)) } };
    },
  };
}

/** The scores of a suite's items. */
export interface SuiteScore {
  /** Each item's share of correct parts; 0 or 1 if the answer is one part. */
  readonly shares: Float32Array;
  /** The score without looking: the most common part at each place of a question's answers. */
  readonly floor: number;
}

/**
 * Scores the trained reader. A part is right when each of its tokens is the most likely one given the true tokens before it. For a whole answer
 * this equals greedy decoding; the symbols of a grid are independent, so the true ones before reveal nothing about the next.
 */
export class Examiner {
  readonly #arm: Arm;
  readonly #session: Session;
  readonly #eyes: FrozenEyes;
  readonly #context: StageContext;

  private constructor(arm: Arm, session: Session, eyes: FrozenEyes, context: StageContext) {
    this.#arm = arm;
    this.#session = session;
    this.#eyes = eyes;
    this.#context = context;
  }

  static async open(arm: Arm, weights: WeightSource, eyes: FrozenEyes, context: StageContext): Promise<Examiner> {
    const graph = new Graph();
    traceReader(graph, arm, scoredSizes(context.batch));
    return new Examiner(
      arm,
      await openSession(graph, weights, { ...readingOptions(context), outputs: ["predicted"] }),
      eyes,
      context,
    );
  }

  async score(suite: SuiteName, stream: Stream, count: number): Promise<SuiteScore> {
    const { batch, writer, source } = this.#context;
    const shares = new Float32Array(count);
    const asked: Asked[] = [];
    for (let start = 0; start < count; start += batch) {
      // The last batch is padded; items beyond the count are not scored.
      const at = (i: number) => Math.min(start + i, count - 1);
      const items = Array.from({ length: batch }, (_, i) => itemOf(suite, stream, at(i), source));
      const rows = items.map(({ turn }) => writer.understanding([turn], SCORED_LENGTH));
      const feeds = answerFeeds(rows, writer.padId, armModel(this.#arm), scoredSizes(batch));
      const { predicted } = await this.#session.run({ ...feeds, ...(await this.#eyes.see(items)) }, ["predicted"]);
      let row = 0;
      items.forEach(({ parts, turn }, i) => {
        const said = answerOf(rows[i]!);
        const right = said.map((id, k) => predicted!.data[row + k] === id);
        row += said.length;
        if (start + i >= count) return;
        shares[start + i] = rightParts(parts, right, writer);
        asked.push({ question: turn.question, parts });
      });
    }
    return { shares, floor: questionAlone(asked) };
  }

  release(): Promise<void> {
    return this.#session.release();
  }
}

interface Asked {
  readonly question: string;
  readonly parts: readonly string[];
}

/** The mean share of parts that are the most common at their place, for their question. */
export function questionAlone(asked: readonly Asked[]): number {
  const counts = new Map<string, Map<string, { count: number; weight: number }>>();
  for (const { question, parts } of asked) {
    parts.forEach((part, i) => {
      const place = `${question}\n${i}`;
      const answers = counts.get(place) ?? new Map<string, { count: number; weight: number }>();
      const before = answers.get(part) ?? { count: 0, weight: 0 };
      answers.set(part, { count: before.count + 1, weight: before.weight + 1 / parts.length });
      counts.set(place, answers);
    });
  }
  let right = 0;
  for (const answers of counts.values()) {
    right += [...answers.values()].reduce((best, each) => (each.count > best.count ? each : best)).weight;
  }
  return right / asked.length;
}

/** The answer's ids with its end marks. */
function answerOf({ ids, isAnswer }: EncodedRow): readonly number[] {
  return ids.filter((_, t) => isAnswer[t]);
}

/** Parts of an answer are joined by spaces and encoded separately, since no token spans a space. An answer of one part includes its end mark. */
function rightParts(
  parts: readonly string[],
  right: readonly boolean[],
  writer: { encode(text: string): readonly number[] },
): number {
  let at = 0;
  let count = 0;
  parts.forEach((part, i) => {
    const end = parts.length === 1 ? right.length : at + writer.encode(i === 0 ? part : ` ${part}`).length;
    if (right.slice(at, end).every(Boolean)) count++;
    at = end;
  });
  return count / parts.length;
}
