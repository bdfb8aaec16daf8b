import { describe, expect, test } from "vitest";
import { f32, i32 } from "../src/runtime/host-tensor.ts";
import { openSession } from "../src/runtime/session.ts";
import { Graph } from "../src/tensor/graph.ts";
import { gradients } from "../src/train/autodiff/gradients.ts";
import { quantizerLosses } from "../src/train/loss/quantizer-loss.ts";
import { poolCodes } from "../src/train/pool-codes.ts";
import { parseTokenizerConfig, type TokenizerConfig } from "../src/vision/config.ts";
import { inputLayout, layoutFeeds } from "../src/vision/layout.ts";
import { quantize } from "../src/vision/quantizer.ts";
import { declareTokenizer, embedCodes, imageTokenizer } from "../src/vision/tokenizer.ts";
import { openGolden } from "../tools/parity/case.ts";
import { compareAll } from "../tools/parity/compare.ts";
import { gridsFrom } from "../tools/parity/grids.ts";
import { tokenizerCase } from "../tools/parity/tokenizer.ts";
import { largestDifference, randomTensor, randomWeights, runOnce } from "./random-weights.ts";

const config = parseTokenizerConfig({
  vision_config: {
    image_size: 12,
    patch_size: 4,
    hidden_size: 8,
    num_hidden_layers: 1,
    num_attention_heads: 2,
    intermediate_size: 12,
  },
  codebook_size: 15,
  split_voc: 3,
  n_q_tokens: 3,
  embedding_dim: 6,
  init_embedding_dim: 10,
  llm_hidden_size: 14,
  output_dim: 9,
});

/** Quantises random features, and gives what a test looks at. */
async function quantizeRandom(settings: TokenizerConfig) {
  const width = settings.split_dim ? settings.embedding_dim : settings.embedding_dim * settings.n_q_tokens;
  const graph = new Graph();
  const ze = graph.input("ze", [7, width]);
  const { codes, z, e, zq, books } = quantize(graph.params, ze, settings);
  graph.output("codes", codes);
  for (const i of z.keys()) {
    graph.output(`z${i}`, z[i]!);
    graph.output(`e${i}`, e[i]!);
    graph.output(`zq${i}`, zq[i]!);
    graph.output(`book${i}`, books[i]!);
  }
  return runOnce(graph, { ...randomWeights(graph), ze: randomTensor([7, width]) });
}

describe("the image tokenizer", () => {
  test("agrees with the reference in codes, losses and every gradient of its training", async () => {
    const { folder, outputs, close } = await openGolden("test/golden/tokenizer");
    const computed = await tokenizerCase.run(folder);
    await close();
    const wrong = compareAll(computed, outputs, tokenizerCase.tolerance).filter(({ ok }) => !ok);
    expect(wrong).toEqual([]);
  });

  test("declares every tensor of its checkpoint", async () => {
    const { folder, close } = await openGolden("test/golden/tokenizer");
    const golden = parseTokenizerConfig({
      ...(folder.config.tokenizer as object),
      vision_config: folder.config.vision,
    });
    const graph = new Graph();
    declareTokenizer(graph, graph.params.at("visual_tokenizer"), golden);
    const wanted = folder.weights.names().filter((name) => name.startsWith("visual_tokenizer."));
    expect([...graph.parameters.keys()].sort()).toEqual(wanted);
    for (const name of wanted) expect(graph.parameters.get(name)!.shape).toEqual(folder.weights.find(name)!.shape);
    await close();
  });

  test("gives the reference's codes for an image of any size from one graph", async () => {
    const { folder, outputs, close } = await openGolden("test/golden/tokenizer");
    const golden = parseTokenizerConfig({
      ...(folder.config.tokenizer as object),
      vision_config: folder.config.vision,
    });
    const graph = new Graph();
    const layout = inputLayout(graph, golden.vision_config);
    const pixels = graph.input("pixels", ["4*M", 588]);
    graph.output("codes", imageTokenizer(graph.params.at("visual_tokenizer"), pixels, layout, golden).quantized.codes);
    const session = await openSession(graph, folder.weights);
    const patches = folder.inputs.get("pixel_values")!.data as Float32Array;
    const wanted = Array.from(outputs.get("indices")!.data, Number);
    let start = 0;
    for (const grid of gridsFrom(Array.from(folder.inputs.get("image_grid_thw")!.data, Number))) {
      const P = grid.frames * grid.rows * grid.columns;
      const pixels = f32(patches.slice(start * 588, (start + P) * 588), [P, 588]);
      const { codes } = await session.run({ pixels, ...layoutFeeds(grid, golden.vision_config) });
      expect([...codes!.data]).toEqual(wanted.slice(start, start + P)); // 4 patches, 4 codes
      start += P;
    }
    await session.release();
    await close();
  });

  test("picks the nearest code in each codebook", async () => {
    for (const settings of [config, { ...config, split_dim: true }, { ...config, split_voc: 1 }]) {
      const results = await quantizeRandom(settings);
      const d = settings.split_dim ? 2 : 6;
      for (let i = 0; i < 3; i++) {
        const [z, book] = [results[`z${i}`]!.data as Float32Array, results[`book${i}`]!.data as Float32Array];
        expect(book.length).toBe((15 / settings.split_voc) * d);
        for (let row = 0; row < 7; row++) {
          const distances = Array.from({ length: book.length / d }, (_, code) =>
            Array.from({ length: d }, (_, j) => (z[row * d + j]! - book[code * d + j]!) ** 2).reduce((a, b) => a + b),
          );
          expect(results.codes!.data[row * 3 + i]).toBe(distances.indexOf(Math.min(...distances)));
        }
        expect(largestDifference(results[`e${i}`]!, results[`zq${i}`]!)).toBeLessThan(1e-6);
      }
    }
  });

  test("sends the gradient of zq to z and none to the books, and each quantizer loss to its side", async () => {
    const graph = new Graph();
    const quantized = quantize(graph.params, graph.input("ze", [7, 18]), config);
    const losses = quantizerLosses(quantized);
    const weight = (name: string) => graph.parameters.get(`quantizer.1.${name}`)!.tensor;
    const watched = ["z_norm.weight", "q_norm.weight", "embedding_proj.weight", "embedding.weight"].map(weight);
    const reached = (loss: (typeof losses.codebook)[number]) =>
      gradients(loss, watched).map((gradient) => gradient !== undefined);
    expect(reached(quantized.zq[1]!.square().sum([0, 1]))).toEqual([true, false, false, false]);
    expect(reached(losses.commitment[1]!)).toEqual([true, false, false, false]);
    expect(reached(losses.codebook[1]!)).toEqual([false, true, true, false]);
    const [toZ] = gradients(quantized.zq[1]!.mul(3).sum([0, 1]), [quantized.z[1]!]);
    graph.output("toZ", toZ!);
    const results = await runOnce(graph, { ...randomWeights(graph), ze: randomTensor([7, 18]) });
    expect([...new Set(Array.from(results.toZ!.data, Number))]).toEqual([3]);
  });

  test("embeds codes as the sum or the mean of their up-projected entries", async () => {
    const graph = new Graph();
    const codes = graph.input("codes", ["M", 3], "i32");
    graph.output("sum", embedCodes(graph.params, codes, config, "sum"));
    graph.output("mean", embedCodes(graph.params, codes, config, "mean").mul(3));
    const quantized = quantize(graph.params, graph.input("ze", ["M", 18]), config);
    graph.output("pooled", poolCodes(graph.params.at("up_projectors"), quantized.zq, 9, { pool: "avg", amplifier: 3 }));
    graph.output("codes_of_ze", quantized.codes);
    const weights = randomWeights(graph);
    const ze = randomTensor([5, 18]);
    const blank = i32(new Int32Array(15), [5, 3]);
    const first = await runOnce(graph, { ...weights, ze, codes: blank });
    const { sum, mean, pooled } = await runOnce(graph, { ...weights, ze, codes: first.codes_of_ze! });
    expect(largestDifference(sum!, mean!)).toBeLessThan(1e-6);
    expect(largestDifference(sum!, pooled!)).toBeLessThan(1e-5);
  });
});
