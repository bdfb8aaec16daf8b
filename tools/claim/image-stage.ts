// Stages 1 and 2: the image side is trained together with a language model and heads, which are dropped afterwards.
// Stage 1 is continuous and shared by the arms of a seed; stage 2 continues with an arm's codes, or without.

import type { Checkpoint } from "../../src/checkpoint/checkpoint.ts";
import { linear } from "../../src/nn/linear.ts";
import { layerNorm } from "../../src/nn/norm.ts";
import { counterRandom } from "../../src/random/counter.ts";
import { f32, type HostTensor, i32 } from "../../src/runtime/host-tensor.ts";
import { memoryWeights } from "../../src/runtime/memory-weights.ts";
import { openSession, type SessionOptions } from "../../src/runtime/session.ts";
import { Graph } from "../../src/tensor/graph.ts";
import type { Tensor } from "../../src/tensor/tensor.ts";
import { type GlyphGrid, glyphSymbols, isColoured } from "../../src/train/data/glyph-grid.ts";
import { patchesOf } from "../../src/train/data/patch-images.ts";
import type { RowWriter } from "../../src/train/data/rows.ts";
import { colours } from "../../src/train/data/scenes.ts";
import { kMeans } from "../../src/train/kmeans.ts";
import { crossEntropy } from "../../src/train/loss/cross-entropy.ts";
import { openCheckpointAt } from "../../src/train/open-checkpoint.ts";
import { type ParameterStore, valuesOf } from "../../src/train/parameter-store.ts";
import type { Batch, Stage } from "../../src/train/stage.ts";
import { drawPixels } from "../../src/train/stages/auxiliary-heads.ts";
import { answerFeeds } from "../../src/train/stages/tokenizer-batch.ts";
import { embedImages, imageLayout, type Model, traceAnswers } from "../../src/train/stages/tokenizer-graph.ts";
import type { TracedLoss } from "../../src/train/train-graph.ts";
import { bookSize, codeWidth } from "../../src/vision/config.ts";
import { visionEncoder } from "../../src/vision/encoder.ts";
import { projector } from "../../src/vision/projector.ts";
import { type Item, type ItemSource, trainingItem, turnsOf } from "./items.ts";
import { armModel, CONTINUOUS_PARTS, POSITIONS, ROW_LENGTH, rowSizes } from "./models.ts";
import { type Arm, arms } from "./protocol.ts";

export interface StageContext {
  readonly source: ItemSource;
  readonly writer: RowWriter;
  readonly seed: number;
  readonly batch: number;
  /** Threads for each operation of the networks that only read; as many as the engine likes if absent. */
  readonly threads?: number;
}

/** How the networks that only read are opened. */
export function readingOptions({ threads }: StageContext): SessionOptions {
  return threads === undefined ? {} : { threads };
}

/** Cells of a position for the symbol head: the whole position, and its quarters. */
const CELLS = 5;
const SYMBOL_WEIGHT = 1;

/** Batch `step` of stage 1; stage 2 takes up the numbering, the same for all arms. */
export function itemsOfStep(step: number, { seed, batch, source }: StageContext): Item[] {
  return Array.from({ length: batch }, (_, i) => trainingItem(step * batch + i, seed, source));
}

export function imageStage(arm: Arm, context: StageContext, firstStep: number, prepare?: Stage["prepare"]): Stage {
  const model = armModel(arm);
  return {
    losses: { image: (graph) => traceImageLoss(graph, model, context.batch) },
    async batch(step) {
      const items = itemsOfStep(firstStep + step, context);
      return imageBatch(items, model, context, firstStep + step);
    },
    ...(prepare && { prepare }),
  };
}

function traceImageLoss(graph: Graph, model: Model, B: number): TracedLoss {
  const patchWidth = 3 * 8 * 8;
  const pixels = graph.input("pixels", [B * 4 * POSITIONS, patchWidth]);
  const layout = imageLayout(graph, model, B);
  const { embeddings, quantizerLosses } = embedImages(graph, pixels, layout, model);
  const wanted = pixels.gather(layout.merge).reshape([-1, 4 * patchWidth]);
  const losses: Record<string, Tensor> = {
    text: traceAnswers(graph, model, rowSizes(B), embeddings),
    pixels: drawPixels(graph, embeddings, 4 * patchWidth)
      .sub(wanted)
      .square()
      .mean([0, 1]),
    ...symbolLosses(graph, embeddings),
    ...quantizerLosses,
  };
  const weights: Readonly<Record<string, number>> = {
    text: 1,
    pixels: 20,
    symbol: SYMBOL_WEIGHT,
    symbolColour: SYMBOL_WEIGHT,
    codebook: 1,
    commitment: 0.25,
  };
  const parts = Object.entries(losses).map(([name, loss]) => loss.mul(weights[name]!));
  return {
    loss: parts.reduce((a, b) => a.add(b)),
    reports: Object.fromEntries(Object.entries(losses).map(([name, loss]) => [`${name}Loss`, loss])),
  };
}

/** embeddings [M, D] -> mean cross entropy of the symbols in each position's cells, and of their colours. */
function symbolLosses(graph: Graph, embeddings: Tensor): Record<string, Tensor> {
  const M = embeddings.size(0);
  const p = graph.params.at("symbol_head");
  const [kinds, tints] = [glyphSymbols.length, colours.length];
  const scores = linear(p.at("fc"), layerNorm(p.at("norm"), embeddings, 1e-5), CELLS * (kinds + tints));
  const of = (name: string, start: number, classes: number) => {
    const own = scores.slice(1, start, start + CELLS * classes).reshape([M * CELLS, classes]);
    const each = crossEntropy(own, graph.input(`${name}Labels`, [M * CELLS], "i32"));
    return each.mul(graph.input(`${name}Weights`, [M * CELLS])).sum([0]);
  };
  return { symbol: of("symbol", 0, kinds), symbolColour: of("symbolColour", CELLS * kinds, tints) };
}

function imageBatch(items: readonly Item[], model: Model, context: StageContext, step: number): Batch {
  return {
    loss: "image",
    tokens: tokensOf(context.batch),
    feeds: {
      pixels: patchesOf(
        items.map(({ image }) => image),
        8,
      ),
      ...symbolFeeds(items),
      ...questionFeeds(items, model, context, step),
    },
  };
}

/** Tokens that a step reads, padding included. */
export function tokensOf(batch: number): number {
  const { packedRows, length } = rowSizes(batch);
  return packedRows * length;
}

/** The questions about a training batch: the same lines in every stage that uses it. */
export function questionFeeds(
  items: readonly Item[],
  model: Model,
  { writer, batch, seed }: StageContext,
  step: number,
): Record<string, HostTensor> {
  const random = counterRandom(seed, "lines").fork(step);
  const rows = items.map((item, b) => writer.understanding(turnsOf(item, random.fork(b)), ROW_LENGTH));
  return answerFeeds(rows, writer.padId, model, rowSizes(batch));
}

function symbolFeeds(items: readonly Item[]): Record<string, HostTensor> {
  const side = Math.sqrt(POSITIONS);
  const symbols = new Int32Array(items.length * POSITIONS * CELLS).fill(-1);
  const tints = symbols.slice();
  items.forEach(({ grid }, n) => {
    if (!grid) return;
    grid.cells.forEach(({ symbol, colour }, at) => {
      const cell = cellOf(grid, at, side);
      const to = (n * POSITIONS + cell.position) * CELLS + cell.part;
      symbols[to] = glyphSymbols.indexOf(symbol);
      if (isColoured(grid.level)) tints[to] = colours.indexOf(colour);
    });
  });
  const feeds = (name: string, labels: Int32Array) => {
    const count = labels.reduce((sum, label) => sum + (label >= 0 ? 1 : 0), 0);
    return {
      [`${name}Labels`]: i32(
        labels.map((label) => Math.max(label, 0)),
        [labels.length],
      ),
      [`${name}Weights`]: f32(
        Float32Array.from(labels, (label) => (label >= 0 ? 1 / count : 0)),
        [labels.length],
      ),
    };
  };
  return { ...feeds("symbol", symbols), ...feeds("symbolColour", tints) };
}

/** The location of a grid's cell: part 0 is a whole position, 1 to 4 its quarters. */
function cellOf({ columns }: GlyphGrid, at: number, side: number): { position: number; part: number } {
  const [row, column] = [Math.floor(at / columns), at % columns];
  if (columns === side) return { position: at, part: 0 };
  const position = Math.floor(row / 2) * side + Math.floor(column / 2);
  return { position, part: 1 + (row % 2) * 2 + (column % 2) };
}

/**
 * Initializes an arm's image side: all of the warm-up's parameters by name, its norms and up-projections regrouped to the arm's number of
 * codes (the same linear maps, split differently), and codebooks at k-means centres.
 */
export function startArm(
  arm: Arm,
  warmUp: string,
  images: number,
  context: StageContext,
): NonNullable<Stage["prepare"]> {
  return async (store, log) => {
    const checkpoint = await openCheckpointAt(warmUp);
    try {
      const taken = await takeOver(checkpoint, store, arm);
      log(`${warmUp}: ${taken} of ${store.parameters.size} parameters`);
      if (arm.codes === 0) return;
      await startBooks(arm, store, images, context, log);
    } finally {
      await checkpoint.close();
    }
  };
}

async function takeOver(checkpoint: Checkpoint, store: ParameterStore, arm: Arm): Promise<number> {
  let taken = 0;
  for (const { path, shape } of store.parameters.values()) {
    const found = checkpoint.find(path);
    if (!found || found.shape.join() !== shape.join()) continue;
    store.set("values", path, await checkpoint.read(path));
    taken++;
  }
  if (arm.codes === 0) return taken;
  return taken + (arm.width === arms.C.width ? await regroup(checkpoint, store, arm) : 0);
}

/** The warm-up norms and projects its features in eight parts; an arm of N codes does so in N. */
async function regroup(checkpoint: Checkpoint, store: ParameterStore, { codes: N, width }: Arm): Promise<number> {
  const p = "visual_tokenizer";
  const d = width / N;
  const D = armModel(arms.C).config.tokenizer_config.output_dim;
  const gather = async (name: (part: number) => string) =>
    Promise.all(
      Array.from({ length: CONTINUOUS_PARTS }, async (_, i) => (await checkpoint.read(name(i))).data as Float32Array),
    );
  const all = (parts: readonly Float32Array[]) => Float32Array.from(parts.flatMap((part) => [...part]));
  const gains = all(await gather((i) => `${p}.quantizer.${i}.z_norm.weight`));
  const shifts = all(await gather((i) => `${p}.quantizer.${i}.z_norm.bias`));
  const maps = await gather((i) => `${p}.up_projectors.${i}.weight`); // each [D, width / 8]
  const part = width / CONTINUOUS_PARTS;
  for (let n = 0; n < N; n++) {
    store.view("values", `${p}.quantizer.${n}.z_norm.weight`).set(gains.subarray(n * d, (n + 1) * d));
    store.view("values", `${p}.quantizer.${n}.z_norm.bias`).set(shifts.subarray(n * d, (n + 1) * d));
    const map = store.view("values", `${p}.up_projectors.${n}.weight`); // [D, d]
    for (let o = 0; o < D; o++) {
      for (let j = 0; j < d; j++) {
        const at = n * d + j;
        // The mean is over N parts instead of eight.
        map[o * d + j] = (maps[Math.floor(at / part)]![o * part + (at % part)]! * N) / CONTINUOUS_PARTS;
      }
    }
  }
  return 3 * N;
}

async function startBooks(
  arm: Arm,
  store: ParameterStore,
  images: number,
  context: StageContext,
  log: (line: string) => void,
): Promise<void> {
  const config = armModel(arm).config.tokenizer_config;
  const { n_q_tokens: N } = config;
  const d = codeWidth(config);
  const z = await normedFeatures(arm, store, images, context);
  const rows = z.length / (N * d);
  for (let i = 0; i < N; i++) {
    const samples = new Float32Array(rows * d);
    for (let row = 0; row < rows; row++) samples.set(z.subarray((row * N + i) * d, (row * N + i + 1) * d), row * d);
    const book = `visual_tokenizer.quantizer.${i}`;
    const view = (name: string) => store.view("values", `${book}.${name}`);
    const centres = await kMeans(samples, d, {
      clusters: bookSize(config),
      random: counterRandom(context.seed, "k-means").fork(i),
      iterations: 10,
      session: readingOptions(context),
    });
    // The codebook's norm gets the gains and shifts of the features' norm, and its linear map starts as the
    // identity, so table rows are the centres without those gains and shifts.
    const [gains, shifts] = [view("z_norm.weight"), view("z_norm.bias")];
    const rowsOfBook = centres.map((value, at) => (value - shifts[at % d]!) / gains[at % d]!);
    view("embedding.weight").set(rowsOfBook, i * bookSize(config) * d);
    view("embedding_proj.weight").set(Float32Array.from({ length: d * d }, (_, at) => (at % (d + 1) === 0 ? 1 : 0)));
    view("embedding_proj.bias").fill(0);
    view("q_norm.weight").set(gains);
    view("q_norm.bias").set(shifts);
    log(`book ${i + 1} of ${N}: ${bookSize(config)} centres of ${rows} positions`);
  }
}

/** z [n, N*d]: the features that an arm rounds, over training images. */
async function normedFeatures(
  arm: Arm,
  store: ParameterStore,
  images: number,
  context: StageContext,
): Promise<Float32Array> {
  const model = armModel(arm);
  const config = model.config.tokenizer_config;
  const graph = new Graph();
  const B = context.batch;
  const pixels = graph.input("pixels", [B * 4 * POSITIONS, 3 * 8 * 8]);
  const layout = imageLayout(graph, model, B);
  const p = graph.params.at("visual_tokenizer");
  const features = visionEncoder(p.at("visual"), pixels, layout, config.vision_config);
  const projected = projector(p.at("mlp_AR"), features, layout.merge, config.llm_hidden_size);
  const ze = linear(p.at("encoder"), projected, config.n_q_tokens * codeWidth(config));
  ze.split(1, new Array<number>(config.n_q_tokens).fill(codeWidth(config))).forEach((part, i) => {
    graph.output(`z${i}`, layerNorm(p.at("quantizer", i, "z_norm"), part, 1e-5));
  });
  const session = await openSession(graph, memoryWeights(valuesOf(store)), readingOptions(context));
  const [N, d] = [config.n_q_tokens, codeWidth(config)];
  const batches = Math.ceil(images / B);
  const all = new Float32Array(batches * B * POSITIONS * N * d);
  for (let batch = 0; batch < batches; batch++) {
    const shown = itemsOfStep(batch, context).map(({ image }) => image);
    const parts = await session.run({ pixels: patchesOf(shown, 8) });
    for (let i = 0; i < N; i++) {
      const part = parts[`z${i}`]!.data as Float32Array;
      for (let row = 0; row < B * POSITIONS; row++) {
        all.set(part.subarray(row * d, (row + 1) * d), ((batch * B * POSITIONS + row) * N + i) * d);
      }
    }
  }
  await session.release();
  return all;
}
