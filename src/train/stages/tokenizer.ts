// Training of the image tokenizer end to end: pictures and questions in, answers out, through a language model that is
// trained along. Two uses: `quantize: false` is stage 0, with continuous features (also the continuous twin that discrete
// codes are measured against); `quantize: true` goes on with codebooks that start at k-means centres.
// Auxiliary heads see to it that codes keep what matters (auxiliary-heads.ts); they are dropped when training ends.

import { z } from "zod";
import { blockVocabulary, type KeyeArConfig, parseKeyeArConfig } from "../../llm/config.ts";
import { decoderStack } from "../../llm/decoder.ts";
import { embeddingTable } from "../../llm/embedding.ts";
import { finalNorm, outputMatrix } from "../../llm/output.ts";
import { rowTables } from "../../llm/row-tables.ts";
import { linear } from "../../nn/linear.ts";
import { layerNorm } from "../../nn/norm.ts";
import { counterRandom } from "../../random/counter.ts";
import { f32, type HostTensor, i32, joinFloats } from "../../runtime/host-tensor.ts";
import { memoryWeights } from "../../runtime/memory-weights.ts";
import { openSession, type WeightSource } from "../../runtime/session.ts";
import { Graph } from "../../tensor/graph.ts";
import { concat, crossEntropy, type Tensor } from "../../tensor/tensor.ts";
import { TextTokenizer } from "../../text/tokenizer.ts";
import { bookSize, codeWidth } from "../../vision/config.ts";
import { visionEncoder } from "../../vision/encoder.ts";
import { kMeans } from "../../vision/kmeans.ts";
import { constantLayout, type VisionLayout } from "../../vision/layout.ts";
import { projector } from "../../vision/projector.ts";
import { meanOf, quantize, quantizerLosses } from "../../vision/quantizer.ts";
import { poolCodes } from "../../vision/tokenizer.ts";
import type { RunConfig } from "../config.ts";
import { writeContactSheet } from "../contact-sheet.ts";
import { type Corpus, openCorpus, type Sample } from "../data/corpus.ts";
import { heldOutQuestions, questionKinds, take } from "../data/held-out-questions.ts";
import { patchesOf, picturesFromPatches } from "../data/patch-pictures.ts";
import { RowWriter, turnsAbout } from "../data/rows.ts";
import { pixelError } from "../metrics.ts";
import type { ParameterStore } from "../parameter-store.ts";
import type { Batch, Stage } from "../stage.ts";
import type { TracedLoss } from "../train-graph.ts";
import { classificationFeeds, classificationLoss, drawPixels } from "./auxiliary-heads.ts";

const dataSchema = z.strictObject({
  cache: z.string().optional(),
  /** Folder of tokenizer.json. */
  tokenizer: z.string(),
  /** Pictures of a batch. */
  batch: z.int().min(1),
  /** Tokens of a row, a picture's positions included; longer conversations lose their last turns. */
  length: z.int().min(16),
  /** Answer tokens of a batch, at most. */
  answers: z.int().min(1),
  /** Share of drawn scenes; the rest is emoji. */
  scenes: z.number().min(0).max(1),
});

const modelSchema = z.strictObject({
  config: z.record(z.string(), z.unknown()),
  quantize: z.boolean(),
  weights: z.strictObject({
    text: z.number().min(0).default(1),
    pixels: z.number().min(0).default(1),
    classes: z.number().min(0).default(0),
    codebook: z.number().min(0).default(1),
    commitment: z.number().min(0).default(0.25),
  }),
  /** Pictures whose features the codebooks' k-means is run over. */
  kmeansPictures: z.int().min(1).default(512),
});

type Data = z.infer<typeof dataSchema>;
type Model = Omit<z.infer<typeof modelSchema>, "config"> & { readonly config: KeyeArConfig };

/** Opens the stage; the corpus must have been fetched by `npm run data`. */
export async function openTokenizerStage(run: RunConfig): Promise<Stage> {
  const data = dataSchema.parse(run.data);
  const raw = modelSchema.parse(run.model);
  const model: Model = { ...raw, config: parseKeyeArConfig(raw.config) };
  const vision = model.config.tokenizer_config.vision_config;
  const corpus = await openCorpus(data.cache, vision.image_size);
  const writer = new RowWriter(
    await TextTokenizer.load(data.tokenizer),
    (vision.image_size / vision.patch_size / 2) ** 2,
  );
  return {
    losses: { conversation: (graph) => traceTokenizer(graph, model, data, corpus.concepts.length) },
    async batch(step) {
      const random = counterRandom(run.seed, "batch").fork(step);
      const items = Array.from({ length: data.batch }, (_, i) => {
        const kind = random.uniform(i) < data.scenes ? "scene" : "emoji";
        return corpus.sample(kind, "train", run.seed, step * data.batch + i);
      });
      return batchOf(items, { corpus, writer, model, data }, step);
    },
    async prepare(store, log) {
      if (model.quantize) await seedCodebooks(store, corpus, model, run.seed, log);
    },
    async samples(weights, folder, step) {
      const pixels = await showPixels(weights, corpus, model, `${folder}/pixels-${step}.png`);
      return { ...pixels, ...(await measureAnswers(weights, { corpus, writer, model, data })) };
    },
  };
}

interface EmbeddedPictures {
  /** [M, D] what the language model reads. */
  readonly embeddings: Tensor;
  /** Codes i32 [M, N] and the weighted quantizer losses, when quantizing. */
  readonly codes?: Tensor;
  readonly quantizerLoss?: Tensor;
  readonly reports: Record<string, Tensor>;
}

/** pixels [P, C*p*p] -> embeddings, with or without rounding to codes. */
function embedPictures(graph: Graph, pixels: Tensor, layout: VisionLayout, model: Model): EmbeddedPictures {
  const config = model.config.tokenizer_config;
  const p = graph.params.at("visual_tokenizer");
  const { features } = visionEncoder(p.at("visual"), pixels, layout, config.vision_config);
  const projected = projector(p.at("mlp_AR"), features, layout.merge, config.llm_hidden_size);
  const ze = linear(p.at("encoder"), projected, config.n_q_tokens * codeWidth(config));
  const D = config.output_dim;
  const pool = { pool: "avg", amplifier: 1 } as const;
  if (!model.quantize) {
    const parts = ze.split(1, new Array<number>(config.n_q_tokens).fill(codeWidth(config)));
    const z = parts.map((part, i) => layerNorm(p.at("quantizer", i, "z_norm"), part, 1e-5));
    return { embeddings: poolCodes(p.at("up_projectors"), z, D, pool), reports: {} };
  }
  const quantized = quantize(p, ze, config);
  const losses = quantizerLosses(quantized);
  const [codebook, commitment] = [meanOf(losses.codebook), meanOf(losses.commitment)];
  return {
    embeddings: poolCodes(p.at("up_projectors"), quantized.zq, D, pool),
    codes: quantized.codes,
    quantizerLoss: codebook.mul(model.weights.codebook).add(commitment.mul(model.weights.commitment)),
    reports: { codebookLoss: codebook, commitmentLoss: commitment },
  };
}

function pictureLayout(graph: Graph, model: Model, pictures: number): VisionLayout {
  const { vision_config: vision } = model.config.tokenizer_config;
  const side = vision.image_size / vision.patch_size;
  return constantLayout(
    graph,
    Array.from({ length: pictures }, () => ({ frames: 1, rows: side, columns: side })),
    vision,
  );
}

function traceTokenizer(graph: Graph, model: Model, data: Data, concepts: number): TracedLoss {
  const { qwen_config: qwen, tokenizer_config } = model.config;
  const vision = tokenizer_config.vision_config;
  const { batch: B, length: T, answers: R } = data;
  const patchWidth = vision.num_channels * vision.patch_size ** 2;
  const P = (vision.image_size / vision.patch_size) ** 2;
  const pixels = graph.input("pixels", [B * P, patchWidth]);
  const layout = pictureLayout(graph, model, B);
  const pictures = embedPictures(graph, pixels, layout, model);

  const trunk = graph.params.at("model", "model");
  const entries = qwen.vocab_size + qwen.codebook_size;
  const table = embeddingTable(trunk.at("tok_embeddings", "embed_tokens"), entries, qwen.embed_dim).slice(
    0,
    0,
    qwen.vocab_size,
  );
  // Text ids name rows of the table, placeholders the rows of the pictures after it.
  const x = concat([table, pictures.embeddings], 0).gather(graph.input("ids", [B, T], "i32"));
  const { hidden } = decoderStack(trunk, x, {
    config: qwen,
    ...rowTables(graph, T, qwen),
  });
  const scored = hidden
    .at(-1)!
    .reshape([B * T, qwen.embed_dim])
    .gather(graph.input("rows", [R], "i32"));
  const matrix = outputMatrix(trunk.at("output"), entries, qwen.embed_dim).slice(0, 0, qwen.vocab_size);
  const logits = finalNorm(trunk, scored, qwen.norm_eps).linear(matrix);
  graph.output("predicted", logits.argmax());
  const losses = crossEntropy(logits, graph.input("labels", [R], "i32"));
  const text = losses.mul(graph.input("weights", [R])).sum([0]);

  const wanted = pixels.gather(layout.merge).reshape([-1, 4 * patchWidth]);
  const drawn = drawPixels(graph, pictures.embeddings, 4 * patchWidth);
  const pixelLoss = drawn.sub(wanted).square().mean([0, 1]);
  const classLoss = classificationLoss(graph, pictures.embeddings, B, concepts);
  const parts = [
    text.mul(model.weights.text),
    pixelLoss.mul(model.weights.pixels),
    classLoss.mul(model.weights.classes),
    ...(pictures.quantizerLoss ? [pictures.quantizerLoss] : []),
  ];
  return {
    loss: parts.reduce((a, b) => a.add(b)),
    reports: { textLoss: text, pixelLoss, classLoss, ...pictures.reports },
  };
}

interface BatchContext {
  readonly corpus: Corpus;
  readonly writer: RowWriter;
  readonly model: Model;
  readonly data: Data;
}

function batchOf(items: readonly Sample[], { corpus, writer, model, data }: BatchContext, step: number): Batch {
  const vision = model.config.tokenizer_config.vision_config;
  const vocabulary = blockVocabulary(model.config.qwen_config);
  const { batch: B, length: T, answers: R } = data;
  const ids = new Int32Array(B * T).fill(writer.padId);
  const [rows, labels] = [[] as number[], [] as number[]];
  let pictureRow = vocabulary.vocabSize;
  items.forEach((item, b) => {
    const row = writer.understanding(turnsAbout(item, (step + b) % 2 === 0), T);
    row.ids.forEach((id, t) => {
      ids[b * T + t] = id === vocabulary.imagePad ? pictureRow++ : id;
      if (t > 0 && row.isAnswer[t] && rows.length < R) {
        rows.push(b * T + t - 1);
        labels.push(id);
      }
    });
  });
  const fill = (values: readonly number[]) => Int32Array.from({ length: R }, (_, i) => values[i] ?? 0);
  const weights = Float32Array.from({ length: R }, (_, i) => (i < rows.length ? 1 / rows.length : 0));
  const pixels = patchesOf(
    items.map(({ picture }) => picture),
    vision.patch_size,
  );
  return {
    loss: "conversation",
    tokens: B * T,
    feeds: {
      pixels,
      ...classificationFeeds(items, corpus.concepts),
      ids: i32(ids, [B, T]),
      rows: i32(fill(rows), [R]),
      labels: i32(fill(labels), [R]),
      weights: f32(weights, [R]),
    },
  };
}

/** Sets each book's table to k-means centres of the normed features that the encoder gives now, and its projection to the identity. */
async function seedCodebooks(
  store: ParameterStore,
  corpus: Corpus,
  model: Model,
  seed: number,
  log: (line: string) => void,
): Promise<void> {
  const config = model.config.tokenizer_config;
  const { n_q_tokens: N, init_embedding_dim: width } = config;
  const d = codeWidth(config);
  if (width !== d)
    throw new Error(`k-means starts want init_embedding_dim (${width}) equal to the width of a code (${d})`);
  log(`k-means over ${model.kmeansPictures} pictures`);
  const z = await collectFeatures(memoryWeights(valuesOf(store)), corpus, model, seed);
  const S = bookSize(config);
  for (let i = 0; i < N; i++) {
    const p = `visual_tokenizer.quantizer.${i}`;
    const centres = kMeans(z[i]!, d, { clusters: S, random: counterRandom(seed, "k-means").fork(i), iterations: 10 });
    store
      .view("values", `${p}.embedding.weight`)
      .fill(0)
      .set(centres, i * S * d);
    const identity = store.view("values", `${p}.embedding_proj.weight`).fill(0);
    for (let j = 0; j < d; j++) identity[j * d + j] = 1;
    store.view("values", `${p}.embedding_proj.bias`).fill(0);
  }
}

function valuesOf(store: ParameterStore): Map<string, HostTensor> {
  return new Map([...store.parameters.keys()].map((path) => [path, store.tensor("values", path)]));
}

/** For each book the normed features [n, d] of a sample of pictures. */
async function collectFeatures(
  weights: WeightSource,
  corpus: Corpus,
  model: Model,
  seed: number,
): Promise<Float32Array[]> {
  const config = model.config.tokenizer_config;
  const chunk = 32;
  const graph = new Graph();
  const { pixels, layout } = pixelInput(graph, model, chunk);
  const p = graph.params.at("visual_tokenizer");
  const { features } = visionEncoder(p.at("visual"), pixels, layout, config.vision_config);
  const ze = linear(
    p.at("encoder"),
    projector(p.at("mlp_AR"), features, layout.merge, config.llm_hidden_size),
    config.n_q_tokens * codeWidth(config),
  );
  ze.split(1, new Array<number>(config.n_q_tokens).fill(codeWidth(config))).forEach((part, i) => {
    graph.output(`z${i}`, layerNorm(p.at("quantizer", i, "z_norm"), part, 1e-5));
  });
  const session = await openSession(graph, weights);
  const parts: Float32Array[][] = Array.from({ length: config.n_q_tokens }, () => []);
  for (let done = 0; done < model.kmeansPictures; done += chunk) {
    const pictures = Array.from(
      { length: chunk },
      (_, i) => corpus.sample(i % 3 === 0 ? "scene" : "emoji", "train", seed + 1, done + i).picture,
    );
    const result = await session.run({ pixels: patchesOf(pictures, config.vision_config.patch_size) });
    parts.forEach((list, i) => {
      list.push(result[`z${i}`]!.data as Float32Array);
    });
  }
  await session.release();
  return parts.map(joinFloats);
}

/** Pictures of each kind that measureAnswers asks about, at least. */
const ASKED = 256;

/**
 * Share of held-out pictures (emoji in the held-out style named; questions about fresh scenes) whose whole answer is the most likely one at
 * every token, which is when greedy decoding gives it.
 */
async function measureAnswers(weights: WeightSource, context: BatchContext): Promise<Record<string, number>> {
  const { corpus, model, data } = context;
  const graph = new Graph();
  traceTokenizer(graph, model, data, corpus.concepts.length);
  const session = await openSession(graph, weights, { outputs: ["predicted"] });
  const right: Record<string, number> = {};
  for (const kind of questionKinds) {
    let [correct, asked] = [0, 0];
    const questions = heldOutQuestions(corpus, kind);
    for (let start = 0; start < ASKED; start += data.batch) {
      const items = take(questions, data.batch);
      const { feeds } = batchOf(items, context, 0);
      const { predicted } = await session.run(feeds);
      const isRight = new Map<number, boolean>();
      const weightsOfRows = feeds.weights!.data as Float32Array;
      (feeds.labels!.data as Int32Array).forEach((label, r) => {
        if (weightsOfRows[r] === 0) return;
        const row = Math.floor(Number(feeds.rows!.data[r]) / data.length);
        isRight.set(row, (isRight.get(row) ?? true) && predicted!.data[r] === label);
      });
      asked += isRight.size;
      correct += [...isRight.values()].filter(Boolean).length;
    }
    right[`${kind}Right`] = correct / asked;
  }
  await session.release();
  return right;
}

function pixelInput(graph: Graph, model: Model, pictures: number): { pixels: Tensor; layout: VisionLayout } {
  const vision = model.config.tokenizer_config.vision_config;
  const P = (vision.image_size / vision.patch_size) ** 2;
  return {
    pixels: graph.input("pixels", [pictures * P, vision.num_channels * vision.patch_size ** 2]),
    layout: pictureLayout(graph, model, pictures),
  };
}

/** Draws held-out pictures by the auxiliary head beside the originals; returns its PSNR and the share of codes in use. */
async function showPixels(
  weights: WeightSource,
  corpus: Corpus,
  model: Model,
  path: string,
): Promise<Record<string, number>> {
  const config = model.config.tokenizer_config;
  const vision = config.vision_config;
  const count = 32;
  const graph = new Graph();
  const { pixels, layout } = pixelInput(graph, model, count);
  const pictures = embedPictures(graph, pixels, layout, model);
  graph.output("drawn", drawPixels(graph, pictures.embeddings, 4 * vision.num_channels * vision.patch_size ** 2));
  if (pictures.codes) graph.output("codes", pictures.codes);
  const session = await openSession(graph, weights);
  const originals = Array.from(
    { length: count },
    (_, i) => corpus.sample(i % 4 === 3 ? "scene" : "emoji", "heldOutStyle", 7, i * 13).picture,
  );
  const feeds = { pixels: patchesOf(originals, vision.patch_size) };
  const result = await session.run(feeds);
  await session.release();
  const drawn = picturesFromPatches(result.drawn!, vision, count);
  await writeContactSheet(
    path,
    originals.flatMap((picture, i) => [picture, drawn[i]!]),
    8,
  );
  const numbers: Record<string, number> = { psnr: pixelError(originals, drawn).psnr };
  if (result.codes) {
    const used = new Set(result.codes.data as Int32Array).size;
    numbers.codesSeen = used;
  }
  return numbers;
}
