// Training of the language model on blocks: pictures are codes of the frozen tokenizer, on the asking side (questions
// about them) and on the answering side (requests to draw). It starts from the trunk that was trained with the tokenizer:
// the embedding of each code is what the tokenizer's own projection made of it, so that nothing learned there is lost.

import { z } from "zod";
import { type Checkpoint, openCheckpoint } from "../../checkpoint/checkpoint.ts";
import { InputError } from "../../errors.ts";
import { blockVocabulary, type KeyeArConfig, languageModelConfig, parseKeyeArConfig } from "../../llm/config.ts";
import { LanguageModel } from "../../llm/language-model.ts";
import { traceLanguageModelLoss, trainingFeeds } from "../../llm/model.ts";
import { type CounterRandom, counterRandom } from "../../random/counter.ts";
import { f32 } from "../../runtime/host-tensor.ts";
import { openSession, type WeightSource } from "../../runtime/session.ts";
import { expandRow } from "../../sequence/blocks.ts";
import { idsFromCodes } from "../../sequence/ids.ts";
import type { BlockVocabulary } from "../../sequence/layout.ts";
import { Graph } from "../../tensor/graph.ts";
import { TextTokenizer } from "../../text/tokenizer.ts";
import { bookSize } from "../../vision/config.ts";
import { codebook } from "../../vision/quantizer.ts";
import { BatchTokenizer } from "../batch-tokenizer.ts";
import { parseSection, type RunConfig } from "../config.ts";
import { type Corpus, openCorpus, type Sample } from "../data/corpus.ts";
import { kindsOf, mixSchema, pickKind } from "../data/mix.ts";
import { type EncodedRow, RowWriter, turnsAbout } from "../data/rows.ts";
import type { ParameterStore } from "../parameter-store.ts";
import { pathSchema } from "../settings.ts";
import type { Batch, Stage } from "../stage.ts";
import type { TracedLoss } from "../train-graph.ts";
import { showAnswers } from "./language-samples.ts";

const dataSchema = z.strictObject({
  cache: pathSchema.optional(),
  /** Folder of tokenizer.json. */
  tokenizer: pathSchema,
  /** Rows of a batch, and how many of them ask for a picture. */
  batch: z.int().min(1).max(4096),
  imagine: z.int().min(0),
  /** Blocks of a row. */
  length: z.int().min(16).max(16_384),
  /** Scored blocks and labels of a batch, at most. */
  scoredBlocks: z.int().min(1).max(1_000_000),
  labels: z.int().min(1).max(10_000_000),
  /** Shares of the kinds of pictures that are asked about and that are asked for. */
  questions: mixSchema,
  requests: mixSchema,
  /** Share of requests that say nothing: what guidance compares with. */
  promptless: z.number().min(0).max(1).default(0),
  /**
   * Share of positions of a requested picture that show a wrong code where they are read, though not where they are scored: a model that
   * writes reads its own mistakes.
   */
  wrongCodes: z.number().min(0).max(1).default(0),
});

const modelSchema = z.strictObject({
  config: z.record(z.string(), z.unknown()),
  /** Weights of the frozen image tokenizer: a file or folder with `visual_tokenizer.*`. */
  visualTokenizer: pathSchema,
});

type Data = z.infer<typeof dataSchema>;

/** Opens the stage; needs the corpus and a trained tokenizer. */
export async function openLanguageModelStage(run: RunConfig): Promise<Stage> {
  const data = parseSection(dataSchema, run, "data");
  const model = parseSection(modelSchema, run, "model");
  const config = parseKeyeArConfig(model.config, "model.config");
  const vision = config.tokenizer_config.vision_config;
  const corpus = await openCorpus(
    data.cache,
    vision.image_size,
    kindsOf(data.questions, data.requests, { emoji: 1, scene: 1 }),
  );
  const weights = await openCheckpoint(model.visualTokenizer);
  const tokenizer = await BatchTokenizer.open(config.tokenizer_config, weights, data.batch, run.threads);
  const text = await TextTokenizer.load(data.tokenizer);
  const writer = new RowWriter(text, tokenizer.positions);
  return {
    losses: { blocks: (graph) => traceBlocks(graph, config, data) },
    async batch(step) {
      const items = sampleRows(corpus, writer, data, run.seed, step);
      const codes = await tokenizer.codes(items.map(({ sample }) => sample.picture));
      return packBatch(
        items.map(({ row }) => row),
        codes,
        counterRandom(run.seed, "wrong codes").fork(step),
        config,
        data,
        writer.padId,
      );
    },
    prepare: (store, log) => seedFromTokenizer(store, config, weights, log),
    async samples(trained, folder, step) {
      const options = run.threads === undefined ? {} : { threads: run.threads };
      const language = await LanguageModel.open(languageModelConfig(config), withOutput(trained), options);
      const parts = { corpus, tokenizer, writer, text, batch: data.batch, length: data.length };
      const numbers = await showAnswers(language, parts, `${folder}/answers-${step}.md`);
      await language.dispose();
      return numbers;
    },
    release: async () => {
      await tokenizer.release();
      await weights.close();
    },
  };
}

const LM_HEAD = "lm_head.weight";
const OUTPUT = "model.model.output.weight";

/** Weights as generation names them: one matrix under both names. */
function withOutput(weights: WeightSource): WeightSource {
  return { find: (name) => weights.find(name === OUTPUT ? LM_HEAD : name) };
}

interface Item {
  readonly sample: Sample;
  readonly row: EncodedRow;
}

function sampleRows(corpus: Corpus, writer: RowWriter, data: Data, seed: number, step: number): Item[] {
  const random = counterRandom(seed, "batch").fork(step);
  return Array.from({ length: data.batch }, (_, b) => {
    const isRequest = b < data.imagine;
    const kind = pickKind(isRequest ? data.requests : data.questions, random.uniform(b));
    const sample = corpus.sample(kind, "train", seed, step * data.batch + b, isRequest ? "request" : "question");
    const isSilent = random.fork("promptless").uniform(b) < data.promptless;
    const row = isRequest
      ? writer.imagining(isSilent ? "" : sample.prompt)
      : writer.understanding(turnsAbout(sample, (step + b) % 2 === 0), data.length);
    if (row.ids.length > data.length)
      throw new InputError(`a row of ${row.ids.length} blocks does not fit into ${data.length}: "${sample.prompt}"`);
    return { sample, row };
  });
}

function traceBlocks(
  graph: Graph,
  config: KeyeArConfig,
  { batch: B, length: T, scoredBlocks, labels: R }: Data,
): TracedLoss {
  const sizes = { rows: B, blocks: T, scoredBlocks, labels: R };
  const { loss, rowLosses } = traceLanguageModelLoss(graph, languageModelConfig(config), sizes);
  // Means over the labels of one kind: weights that are 1/count on them and 0 elsewhere.
  const mean = (name: string) =>
    rowLosses
      .stopGradient()
      .mul(graph.input(name, [R]))
      .sum([0]);
  return { loss, reports: { textLoss: mean("textShare"), imageLoss: mean("imageShare") } };
}

/** Rows and their pictures' codes [rows * positions, N] as the loss's inputs. */
function packBatch(
  rows: readonly EncodedRow[],
  codes: Int32Array,
  random: CounterRandom,
  config: KeyeArConfig,
  data: Data,
  padId: number,
): Batch {
  const vocabulary = blockVocabulary(config.qwen_config);
  const N = vocabulary.codesPerPatch;
  const { batch: B, length: T, scoredBlocks, labels: R } = data;
  const perPicture = codes.length / rows.length;
  const packed = rows.map((row, b) => {
    const ids = Int32Array.from({ length: T }, (_, t) => row.ids[t] ?? padId);
    const own = codes.subarray(b * perPicture, (b + 1) * perPicture);
    const read = b < data.imagine ? spoil(own, N, data.wrongCodes, vocabulary, random.fork(b)) : own;
    return {
      blocks: expandRow(ids, idsFromCodes(own, vocabulary), vocabulary),
      read: expandRow(ids, idsFromCodes(read, vocabulary), vocabulary),
      lossMask: Uint8Array.from({ length: T }, (_, t) => (row.isAnswer[t] ? 1 : 0)),
      cuSegments: [0, T],
    };
  });
  const sizes = { rows: B, blocks: T, scoredBlocks, labels: R };
  const { feeds, scored } = trainingFeeds(packed, languageModelConfig(config), sizes);
  const kindOf = (label: number) =>
    label === vocabulary.qEos ? "end" : label >= vocabulary.vocabSize ? "image" : "text";
  const kinds = Array.from(scored.labels.subarray(0, scored.count), kindOf);
  const share = (kind: string) => {
    const count = kinds.filter((k) => k === kind).length;
    return f32(
      Float32Array.from({ length: R }, (_, i) => (kinds[i] === kind ? 1 / count : 0)),
      [R],
    );
  };
  return {
    loss: "blocks",
    tokens: B * T,
    feeds: { ...feeds, textShare: share("text"), imageShare: share("image") },
  };
}

/** Codes [M, N] of a picture, one code replaced at a share of its positions by any other of its book. */
export function spoil(
  codes: Int32Array,
  N: number,
  share: number,
  { codebookSize }: Pick<BlockVocabulary, "codebookSize">,
  random: CounterRandom,
): Int32Array {
  if (share === 0) return codes;
  const size = codebookSize / N;
  const spoilt = Int32Array.from(codes);
  for (let position = 0; position < codes.length / N; position++) {
    const draw = random.fork(position).sequence();
    if (draw.uniform() >= share) continue;
    const at = position * N + draw.integer(N);
    spoilt[at] = (codes[at]! + 1 + draw.integer(size - 1)) % size;
  }
  return spoilt;
}

/**
 * Gives each visual entry of the embedding table the tokenizer's own embedding of that code (so that a block's sum is what
 * the trunk was trained to read), and silences the token head, which then starts as the identity.
 */
async function seedFromTokenizer(
  store: ParameterStore,
  config: KeyeArConfig,
  source: Checkpoint,
  log: (line: string) => void,
): Promise<void> {
  const { tokenizer_config: tokenizer, qwen_config: qwen } = config;
  const graph = new Graph();
  const p = graph.params.at("visual_tokenizer");
  for (let i = 0; i < tokenizer.n_q_tokens; i++) {
    const up = p.at("up_projectors", i).get("weight", [tokenizer.output_dim, tokenizer.embedding_dim]);
    graph.output(`book${i}`, codebook(p, i, tokenizer).linear(up).div(tokenizer.n_q_tokens));
  }
  const session = await openSession(graph, source);
  const books = await session.run({});
  await session.release();
  const table = store.view("values", "model.model.tok_embeddings.embed_tokens.weight");
  for (let i = 0; i < tokenizer.n_q_tokens; i++) {
    table.set(books[`book${i}`]!.data as Float32Array, (qwen.vocab_size + i * bookSize(tokenizer)) * qwen.embed_dim);
  }
  store.view("values", "model.model.token_head.output_linear.weight").fill(0);
  // The tokenizer's stage trained the matrix under the name that generation reads; here it is the one that training reads.
  store.set("values", LM_HEAD, await source.read(OUTPUT));
  log("code embeddings start as the tokenizer's; the token head starts as the identity");
}
