// Samples of the image tokenizer during training: held-out images drawn from their embeddings, classified, and asked about.

import type { RgbImage } from "../../image/rgb.ts";
import { openSession, type WeightSource } from "../../runtime/session.ts";
import { Graph } from "../../tensor/graph.ts";
import { writeContactSheet } from "../contact-sheet.ts";
import { heldOutQuestions, questionKindsOf, take } from "../data/held-out-questions.ts";
import { kindsOf, type SampleKind } from "../data/mix.ts";
import { imagesFromPatches, patchesOf } from "../data/patch-images.ts";
import { pixelError } from "../metrics.ts";
import { type ClassKind, classKinds, classOutput, drawPixels } from "./auxiliary-heads.ts";
import { type BatchContext, batchOf } from "./tokenizer-batch.ts";
import { type Data, embedImages, type Model, pixelInput, traceTokenizer } from "./tokenizer-graph.ts";

/** Minimum images measured per kind. */
export const ASKED = 256;

/** What each head is measured on: held-out emoji, new scenes, and lettering in held-out fonts and words. */
const measuredOn = { concept: "emoji", shape: "scene", colour: "scene", letter: "lettering" } as const;

/** The kinds of images in samples: scenes, and the training kinds. */
export function measuredKinds({ weights }: Model, { mix }: Data): SampleKind[] {
  const trained = kindsOf(mix).filter((kind) => kind === "emoji" || kind === "own");
  return ["scene", ...trained, ...(weights.letter > 0 ? (["lettering"] as const) : [])];
}

/** Share of held-out images and letters that the weighted auxiliary heads classify correctly. */
export async function measureClasses(weights: WeightSource, context: BatchContext): Promise<Record<string, number>> {
  const { model, data } = context;
  const { corpus } = context.samples;
  const hasClasses = (kind: ClassKind | "letter") => kind !== "concept" || corpus.concepts.length > 0;
  const kinds = [...classKinds, "letter" as const].filter((kind) => model.weights[kind] > 0 && hasClasses(kind));
  if (kinds.length === 0) return {};
  const graph = new Graph();
  traceTokenizer(graph, model, data, corpus.concepts.length);
  const session = await openSession(graph, weights, { outputs: kinds.map(classOutput) });
  const shares: Record<string, number> = {};
  for (const kind of kinds) {
    let [correct, asked] = [0, 0];
    for (let start = 0; start < ASKED; start += data.batch) {
      const items = Array.from({ length: data.batch }, (_, i) =>
        corpus.sample(measuredOn[kind], "heldOutStyle", 7, start + i),
      );
      const { feeds } = batchOf(items, context, 0);
      const predicted = (await session.run(feeds, [classOutput(kind)]))[classOutput(kind)]!.data;
      const labels = feeds[`${kind}Labels`]!.data;
      (feeds[`${kind}Weights`]!.data as Float32Array).forEach((weight, i) => {
        if (weight === 0) return;
        asked++;
        if (predicted[i] === labels[i]) correct++;
      });
    }
    shares[`${kind}Classified`] = correct / asked;
  }
  await session.release();
  return shares;
}

/**
 * Share of held-out images (emoji in the held-out style; questions about new scenes) whose right answer is the most likely one at
 * every token, which is when greedy decoding gives it.
 */
export async function measureAnswers(weights: WeightSource, given: BatchContext): Promise<Record<string, number>> {
  const { model } = given;
  const data = { ...given.data, packedRows: undefined }; // each item's answer is told by its row
  const context = { ...given, data };
  const { corpus } = context.samples;
  const graph = new Graph();
  traceTokenizer(graph, model, data, corpus.concepts.length);
  const session = await openSession(graph, weights, { outputs: ["predicted"] });
  const right: Record<string, number> = {};
  for (const kind of questionKindsOf(corpus)) {
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

/** Draws held-out images by the auxiliary head beside the originals; returns its PSNR and the share of codes in use. */
export async function showPixels(
  weights: WeightSource,
  { samples, model, data }: BatchContext,
  path: string,
): Promise<Record<string, number>> {
  const config = model.config.tokenizer_config;
  const vision = config.vision_config;
  const count = 32;
  const graph = new Graph();
  const { pixels, layout } = pixelInput(graph, model, count);
  const images = embedImages(graph, pixels, layout, model);
  graph.output("drawn", drawPixels(graph, images.embeddings, 4 * vision.num_channels * vision.patch_size ** 2));
  if (images.codes) graph.output("codes", images.codes);
  const session = await openSession(graph, weights);
  const kinds = measuredKinds(model, data).filter((kind) => kind !== "scene" && kind !== "lettering");
  const originals: RgbImage[] = [];
  for (let i = 0; i < count; i++) {
    const kind = i % 4 === 3 ? "scene" : (kinds[i % kinds.length] ?? "scene");
    originals.push((await samples.draw(kind, "heldOutStyle", 7, i * 13, "image")).image);
  }
  const feeds = { pixels: patchesOf(originals, vision.patch_size) };
  const result = await session.run(feeds);
  await session.release();
  const drawn = imagesFromPatches(result.drawn!, vision, count);
  await writeContactSheet(
    path,
    originals.flatMap((image, i) => [image, drawn[i]!]),
    8,
  );
  const numbers: Record<string, number> = { psnr: pixelError(originals, drawn).psnr };
  if (result.codes) {
    const used = new Set(result.codes.data as Int32Array).size;
    numbers.codesSeen = used;
  }
  return numbers;
}
