// The start of quantizing on a tiny tokenizer: books offer what k-means found, and embeddings stay near the continuous ones.

import { mkdtemp, readFile, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, beforeAll, expect, test } from "vitest";
import type { RgbImage } from "../../image/rgb.ts";
import { parseKeyeArConfig } from "../../llm/config.ts";
import { writeSafetensors } from "../../quantize/safetensors-file.ts";
import { counterRandom } from "../../random/counter.ts";
import { memoryWeights } from "../../runtime/memory-weights.ts";
import { openSession } from "../../runtime/session.ts";
import { Graph } from "../../tensor/graph.ts";
import { codebook } from "../../vision/quantizer.ts";
import { patchesOf } from "../data/patch-images.ts";
import { drawScene, sampleScene } from "../data/scenes.ts";
import { ParameterStore, valuesOf } from "../parameter-store.ts";
import { dataSchema, embedImages, type Model, modelSchema, pixelInput, traceTokenizer } from "./tokenizer-graph.ts";
import { startFromVision } from "./tokenizer-start.ts";

const [SIDE, BATCH, WIDTH, BOOKS] = [32, 16, 24, 8];
const EARLIER_WIDTH = 6;

async function tinyModel(width: number, quantize: boolean): Promise<Model> {
  const raw = JSON.parse(await readFile("configs/nano/tokenizer-start.json", "utf8")).model;
  raw.config.qwen_config.embed_dim = WIDTH;
  raw.config.qwen_config.codebook_size = 16 * BOOKS;
  raw.config.token_decoder_config.input_dim = WIDTH;
  Object.assign(raw.config.tokenizer_config, {
    codebook_size: 16 * BOOKS,
    embedding_dim: width,
    init_embedding_dim: width,
    llm_hidden_size: WIDTH,
    output_dim: WIDTH,
  });
  Object.assign(raw.config.tokenizer_config.vision_config, {
    image_size: SIDE,
    hidden_size: 24,
    num_hidden_layers: 1,
    num_attention_heads: 2,
    intermediate_size: 32,
  });
  const weights = { text: 0, pixels: 4, latents: 0, teacher: 0 };
  const parsed = modelSchema.parse({ ...raw, quantize, weights, kmeansImages: 256 });
  return { ...parsed, config: parseKeyeArConfig(parsed.config) };
}

const data = dataSchema.parse({ tokenizer: "none", batch: BATCH, length: 40, answers: 8, mix: { scene: 1 } });
const imagesOf = (batch: number): RgbImage[] =>
  Array.from({ length: BATCH }, (_, i) => drawScene(sampleScene(1, batch * BATCH + i, SIDE), SIDE));

function drawnStore(model: Model): ParameterStore {
  const graph = new Graph();
  traceTokenizer(graph, model, data, 4);
  const store = new ParameterStore(graph.parameters.values());
  store.initialize(counterRandom(3, "init"));
  return store;
}

let folder: string;
beforeAll(async () => {
  folder = await mkdtemp(join(tmpdir(), "kelix-start-"));
});
afterAll(() => rm(folder, { recursive: true, force: true }));

test.each([0, 60])(
  "after %i rounds books start at centres that their own norms leave as they are, close to what they round",
  async (rounds) => {
    const vision = drawnStore(await tinyModel(EARLIER_WIDTH, false));
    const weights = join(folder, "vision.safetensors");
    await writeSafetensors(weights, valuesOf(vision));
    const model = await tinyModel(8, true);
    const store = drawnStore(model);
    const seen: string[] = [];
    const targets = { of: async () => ({}) };
    const start = { weights, codeWidth: EARLIER_WIDTH, classes: 0, rounds };
    await startFromVision(start, {
      store,
      model,
      targets,
      images: async (batch) => imagesOf(batch),
      seed: 1,
      log: (line) => seen.push(line),
    });
    expect(seen.at(-1)).toContain("1024 positions");
    expect(seen.filter((line) => line.includes("rotated in 60 rounds"))).toHaveLength(rounds / 60);

    const graph = new Graph();
    const config = model.config.tokenizer_config;
    graph.output("book", codebook(graph.params.at("visual_tokenizer"), 3, config));
    const { pixels, layout } = pixelInput(graph, model, BATCH);
    const rounded = embedImages(graph, pixels, layout, model);
    graph.output("rounded", rounded.embeddings);
    graph.output("loss", rounded.quantizerLosses!.codebook);
    graph.output("smooth", embedImages(graph, pixels, layout, { ...model, quantize: false }).embeddings);
    const earlier = new Graph();
    const other = pixelInput(earlier, await tinyModel(EARLIER_WIDTH, false), BATCH);
    earlier.output(
      "wanted",
      embedImages(earlier, other.pixels, other.layout, await tinyModel(EARLIER_WIDTH, false)).embeddings,
    );
    const feeds = { pixels: patchesOf(imagesOf(20), config.vision_config.patch_size) };
    const run = async (of: Graph, from: ParameterStore) => {
      const session = await openSession(of, memoryWeights(valuesOf(from)));
      const result = await session.run(feeds);
      await session.release();
      return Object.fromEntries(
        Object.entries(result).map(([name, { data: values }]) => [name, values as Float32Array]),
      );
    };
    const { book, rounded: codes, smooth, loss } = await run(graph, store);
    const { wanted } = await run(earlier, vision);

    // Entries: six numbers of a root mean square near 1, then the carriers.
    for (let k = 0; k < 16; k++) {
      expect(book![k * 8 + 6]).toBeCloseTo(1, 5);
      expect(book![k * 8 + 7]).toBeCloseTo(0, 5);
    }
    // The numbers vary by 1 each, six of eight: rounding must leave less than half of that.
    expect(loss![0]).toBeLessThan(0.375);
    const difference = (a: Float32Array, b: Float32Array) => Math.hypot(...a.map((value, i) => value - b[i]!));
    const spread = difference(
      wanted!,
      new Float32Array(wanted!.length).map((_, i) => mean(wanted!, WIDTH, i % WIDTH)),
    );
    expect(difference(smooth!, wanted!)).toBeLessThan(0.5 * spread);
    expect(difference(codes!, wanted!)).toBeLessThan(0.8 * spread);
  },
);

function mean(rows: Float32Array, width: number, column: number): number {
  let sum = 0;
  for (let at = column; at < rows.length; at += width) sum += rows[at]!;
  return (sum * width) / rows.length;
}
