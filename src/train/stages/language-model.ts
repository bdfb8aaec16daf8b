// Training of the language model on blocks: pictures are codes of the frozen tokenizer, on the asking side (questions
// about them) and on the answering side (requests to draw). It starts from the trunk that was trained with the tokenizer:
// the embedding of each code is what the tokenizer's own projection made of it, so that nothing learned there is lost.

import { z } from "zod";
import { openCheckpointAt } from "../../checkpoint/checkpoint.node.ts";
import { InputError } from "../../errors.ts";
import { folderFiles } from "../../files/folder.node.ts";
import { blockVocabulary, type KeyeArConfig, languageModelConfig, parseKeyeArConfig } from "../../llm/config.ts";
import { LanguageModel } from "../../llm/language-model.ts";
import { supervisedRows } from "../../llm/loss.ts";
import { languageModelPaths, readBlocks, scoreBlocks } from "../../llm/model.ts";
import { rowTables } from "../../llm/row-tables.ts";
import { counterRandom } from "../../random/counter.ts";
import { f32, i32 } from "../../runtime/host-tensor.ts";
import { openSession, type WeightSource } from "../../runtime/session.ts";
import { blockInputs, expandRow } from "../../sequence/blocks.ts";
import { idsFromCodes } from "../../sequence/ids.ts";
import { blockLabels } from "../../sequence/labels.ts";
import { Graph } from "../../tensor/graph.ts";
import { TextTokenizer } from "../../text/tokenizer.ts";
import { bookSize } from "../../vision/config.ts";
import { codebook } from "../../vision/quantizer.ts";
import { BatchTokenizer } from "../batch-tokenizer.ts";
import { parseSection, type RunConfig } from "../config.ts";
import { type Corpus, openCorpus, type Sample } from "../data/corpus.ts";
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
  /** Share of drawn scenes among questions and among requests; the rest is emoji. */
  scenes: z.number().min(0).max(1),
  imagineScenes: z.number().min(0).max(1),
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
  const corpus = await openCorpus(data.cache, vision.image_size);
  const weights = await openCheckpointAt(model.visualTokenizer);
  const tokenizer = await BatchTokenizer.open(config.tokenizer_config, weights, data.batch, run.threads);
  const text = await TextTokenizer.load(folderFiles(data.tokenizer));
  const writer = new RowWriter(text, tokenizer.positions);
  return {
    losses: { blocks: (graph) => traceBlocks(graph, config, data) },
    async batch(step) {
      const items = sampleRows(corpus, writer, data, run.seed, step);
      const codes = await tokenizer.codes(items.map(({ sample }) => sample.picture));
      return packBatch(
        items.map(({ row }) => row),
        codes,
        config,
        data,
        writer.padId,
      );
    },
    prepare: (store, log) => seedFromTokenizer(store, config, weights, log),
    async samples(trained, folder, step) {
      const options = run.threads === undefined ? {} : { threads: run.threads };
      const language = await LanguageModel.open(languageModelConfig(config), trained, options);
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

interface Item {
  readonly sample: Sample;
  readonly row: EncodedRow;
}

function sampleRows(corpus: Corpus, writer: RowWriter, data: Data, seed: number, step: number): Item[] {
  const random = counterRandom(seed, "batch").fork(step);
  return Array.from({ length: data.batch }, (_, b) => {
    const isRequest = b < data.imagine;
    const kind = random.uniform(b) < (isRequest ? data.imagineScenes : data.scenes) ? "scene" : "emoji";
    const sample = corpus.sample(kind, "train", seed, step * data.batch + b);
    const row = isRequest
      ? writer.imagining(sample.prompt)
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
  const language = languageModelConfig(config);
  const { qwen } = language;
  const N = qwen.n_q_tokens;
  const read = readBlocks(
    graph.params,
    {
      index: graph.input("index", [B, T, N], "i32"),
      weight: graph.input("weight", [B, T, N]),
      ...rowTables(graph, T, qwen),
    },
    language,
  );
  const { loss, rowLosses } = scoreBlocks(read, languageModelPaths(graph.params).output, language, {
    scoredBlocks,
    labels: R,
  });
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
  config: KeyeArConfig,
  data: Data,
  padId: number,
): Batch {
  const vocabulary = blockVocabulary(config.qwen_config);
  const N = vocabulary.codesPerPatch;
  const { batch: B, length: T, scoredBlocks: Q, labels: R } = data;
  const perPicture = codes.length / rows.length;
  const index = new Int32Array(B * T * N);
  const weight = new Float32Array(B * T * N);
  const fill = {
    positions: new Int32Array(Q),
    next: new Int32Array(Q),
    rows: new Int32Array(R),
    labels: new Int32Array(R),
    weights: new Float32Array(R),
  };
  let [q, r] = [0, 0];
  const kinds: ("text" | "image" | "end")[] = [];
  rows.forEach((row, b) => {
    const ids = Int32Array.from({ length: T }, (_, t) => row.ids[t] ?? padId);
    const mask = Uint8Array.from({ length: T }, (_, t) => (row.isAnswer[t] ? 1 : 0));
    const pictureIds = idsFromCodes(codes.subarray(b * perPicture, (b + 1) * perPicture), vocabulary);
    const blocks = expandRow(ids, pictureIds, vocabulary);
    const inputs = blockInputs(blocks, vocabulary);
    index.set(inputs.index, b * T * N);
    weight.set(inputs.weight, b * T * N);
    const scored = supervisedRows(blockLabels(blocks, mask, vocabulary), vocabulary);
    if (q + scored.positions.length > Q || r + scored.rows.length > R) {
      throw new InputError(`the batch has more than ${Q} scored blocks or ${R} labels; raise scoredBlocks or labels`);
    }
    scored.rows.forEach((place, i) => {
      fill.rows[r + i] = place + q * (N + 1);
      fill.labels[r + i] = scored.labels[i]!;
      fill.weights[r + i] = scored.weights[i]! * scored.count;
      kinds.push(
        scored.labels[i] === vocabulary.qEos ? "end" : scored.labels[i]! >= vocabulary.vocabSize ? "image" : "text",
      );
    });
    scored.positions.forEach((t, i) => {
      fill.positions[q + i] = b * T + t;
      fill.next[q + i] = b * T + t + 1;
    });
    q += scored.positions.length;
    r += scored.rows.length;
  });
  const share = (kind: string) => {
    const count = kinds.filter((k) => k === kind).length;
    return Float32Array.from({ length: R }, (_, i) => (kinds[i] === kind ? 1 / count : 0));
  };
  return {
    loss: "blocks",
    tokens: B * T,
    feeds: {
      index: i32(index, [B, T, N]),
      weight: f32(weight, [B, T, N]),
      positions: i32(fill.positions, [Q]),
      next: i32(fill.next, [Q]),
      rows: i32(fill.rows, [R]),
      labels: i32(fill.labels, [R]),
      weights: f32(
        fill.weights.map((value) => value / r),
        [R],
      ),
      textShare: f32(share("text"), [R]),
      imageShare: f32(share("image"), [R]),
    },
  };
}

/**
 * Gives each visual entry of the embedding table the tokenizer's own embedding of that code (so that a block's sum is what
 * the trunk was trained to read), and silences the token head, which then starts as the identity.
 */
async function seedFromTokenizer(
  store: ParameterStore,
  config: KeyeArConfig,
  weights: WeightSource,
  log: (line: string) => void,
): Promise<void> {
  const { tokenizer_config: tokenizer, qwen_config: qwen } = config;
  const graph = new Graph();
  const p = graph.params.at("visual_tokenizer");
  for (let i = 0; i < tokenizer.n_q_tokens; i++) {
    const up = p.at("up_projectors", i).get("weight", [tokenizer.output_dim, tokenizer.embedding_dim]);
    graph.output(`book${i}`, codebook(p, i, tokenizer).linear(up).div(tokenizer.n_q_tokens));
  }
  const session = await openSession(graph, weights);
  const books = await session.run({});
  await session.release();
  const table = store.view("values", "model.model.tok_embeddings.embed_tokens.weight");
  for (let i = 0; i < tokenizer.n_q_tokens; i++) {
    table.set(books[`book${i}`]!.data as Float32Array, (qwen.vocab_size + i * bookSize(tokenizer)) * qwen.embed_dim);
  }
  store.view("values", "model.model.token_head.output_linear.weight").fill(0);
  log("code embeddings start as the tokenizer's; the token head starts as the identity");
}
