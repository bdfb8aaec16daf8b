// Stages 1 and 2: the image side is trained together with a language model and heads, which are dropped afterwards.
// Stage 1 is continuous and shared by the arms of a seed; stage 2 continues with an arm's codes, or without.

import type { Checkpoint } from "../../src/checkpoint/checkpoint.ts";
import { linear } from "../../src/nn/linear.ts";
import { layerNorm } from "../../src/nn/norm.ts";
import { counterRandom } from "../../src/random/counter.ts";
import { f32, type HostTensor, i32 } from "../../src/runtime/host-tensor.ts";
import { openSession, type SessionOptions } from "../../src/runtime/session.ts";
import { Graph } from "../../src/tensor/graph.ts";
import type { Tensor } from "../../src/tensor/tensor.ts";
import { type GlyphGrid, glyphSymbols, isColoured } from "../../src/train/data/glyph-grid.ts";
import { patchesOf } from "../../src/train/data/patch-images.ts";
import type { RowWriter } from "../../src/train/data/rows.ts";
import { colours } from "../../src/train/data/scenes.ts";
import { RidgeProbe } from "../../src/train/linear-probe.ts";
import { crossEntropy } from "../../src/train/loss/cross-entropy.ts";
import { openCheckpointAt } from "../../src/train/open-checkpoint.ts";
import type { Batch, Stage } from "../../src/train/stage.ts";
import { drawPixels } from "../../src/train/stages/auxiliary-heads.ts";
import { type Sample, type SamplePart, sampleOf } from "../../src/train/stages/start-sample.ts";
import { answerFeeds } from "../../src/train/stages/tokenizer-batch.ts";
import { embedImages, imageLayout, type Model, traceAnswers } from "../../src/train/stages/tokenizer-graph.ts";
import { startQuantizer, takeOver } from "../../src/train/stages/tokenizer-start.ts";
import type { TracedLoss } from "../../src/train/train-graph.ts";
import { visionEncoder } from "../../src/vision/encoder.ts";
import { projector } from "../../src/vision/projector.ts";
import { type Item, type ItemSource, trainingItem, turnsOf } from "./items.ts";
import { armModel, continuous, POSITIONS, ROW_LENGTH, rowSizes } from "./models.ts";
import type { Arm } from "./protocol.ts";

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
    // Squared errors of pixels weigh 20, so this is as much as the usual 0.25 to 1 where they weigh 1.
    commitment: 12,
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
 * Initializes an arm's image side with the warm-up's parameters, and its quantizer as kelix-nano's was: a change of basis gives each
 * codebook an equal share of the continuous embeddings' principal components, and codebooks start at k-means centres.
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
      const taken = await takeOver(checkpoint, store);
      log(`${warmUp}: ${taken} of ${store.parameters.size} parameters`);
      if (arm.codes === 0) return;
      const sample = await embeddingsOf(checkpoint, images, context);
      await startQuantizer(sample, {
        store,
        model: armModel(arm),
        seed: context.seed,
        log,
        session: readingOptions(context),
        rounds: ROTATION_ROUNDS,
      });
    } finally {
      await checkpoint.close();
    }
  };
}

const ROTATION_ROUNDS = 300;

/** The warm-up's features and embeddings of training images; the embeddings are what codes should say. */
async function embeddingsOf(warmUp: Checkpoint, images: number, context: StageContext): Promise<Sample> {
  const { llm_hidden_size: L, output_dim: D, vision_config: vision } = continuous.config.tokenizer_config;
  const graph = new Graph();
  const B = context.batch;
  const pixels = graph.input("pixels", [B * 4 * POSITIONS, 3 * 8 * 8]);
  const layout = imageLayout(graph, continuous, B);
  const p = graph.params.at("visual_tokenizer");
  const features = visionEncoder(p.at("visual"), pixels, layout, vision);
  graph.output("projected", projector(p.at("mlp_AR"), features, layout.merge, L));
  graph.output("embeddings", embedImages(graph, pixels, layout, continuous).embeddings);
  const session = await openSession(graph, warmUp, readingOptions(context));
  const probe = await RidgeProbe.open(L, D);
  const parts: SamplePart[] = [];
  for (let batch = 0; batch < Math.ceil(images / B); batch++) {
    const shown = itemsOfStep(batch, context).map(({ image }) => image);
    const said = await session.run({ pixels: patchesOf(shown, 8) });
    const [projected, embeddings] = [said.projected!.data as Float32Array, said.embeddings!.data as Float32Array];
    parts.push({ projected, embeddings });
    await probe.add({ features: projected, pixels: embeddings });
  }
  await session.release();
  return sampleOf(parts, probe, L, D);
}
