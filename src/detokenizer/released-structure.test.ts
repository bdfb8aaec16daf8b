// The released networks' structure at a small size: from the language model's hidden states through the connector and guided
// sampling with positions to pixels, in ample and in short memory.

import { afterAll, expect, test } from "vitest";
import { randomWeights } from "../../test/random-weights.ts";
import { smallAutoencoder, smallTransformer } from "../../test/released-detokenizer.ts";
import type { RgbImage } from "../image/rgb.ts";
import { counterRandom } from "../random/counter.ts";
import { memoryWeights } from "../runtime/memory-weights.ts";
import type { WeightSource } from "../runtime/session.ts";
import { SessionCache } from "../runtime/session-cache.ts";
import { Graph } from "../tensor/graph.ts";
import { diffusionTransformer } from "../train/whole-transformer.ts";
import { decode } from "./autoencoder.ts";
import { type LatentGrid, parseAutoencoderConfig, parseDitConfig } from "./config.ts";
import { type DetokenizeOptions, Detokenizer } from "./detokenizer.ts";

const transformer = parseDitConfig(smallTransformer);
const autoencoder = parseAutoencoderConfig(smallAutoencoder);

function weightsOf(trace: (graph: Graph) => unknown): WeightSource {
  const graph = new Graph();
  trace(graph);
  return memoryWeights(new Map(Object.entries(randomWeights(graph))));
}

const parts = {
  transformer: {
    config: transformer,
    weights: weightsOf((graph) =>
      diffusionTransformer(
        graph.params,
        {
          x: graph.input("x", [1, transformer.inChannels, 1, 1]),
          timestep: graph.input("timestep", [1]),
          y: graph.input("y", [1, 1, transformer.connectorChannels!]),
          bias: graph.input("bias", [1, 1]),
          drop: graph.input("drop", [1]),
        },
        transformer,
      ),
    ),
  },
  autoencoder: {
    config: autoencoder,
    weights: weightsOf((graph) =>
      decode(graph.params, graph.input("latents", [1, autoencoder.latentChannels, 1, 1]), autoencoder),
    ),
  },
};

// Nine codes between their two marks.
const request = {
  condition: counterRandom(5).fillNormal(new Float32Array(11 * transformer.connectorChannels!)),
  codeGrid: [3, 3],
} as const;
const AMPLE = 2 ** 30;
const caches: SessionCache[] = [];
afterAll(() => Promise.all(caches.map((cache) => cache.close())));

function detokenizer(limitBytes: number, latentGrid: LatentGrid = [4, 4]): Detokenizer {
  const cache = new SessionCache(limitBytes, { threads: 1 });
  caches.push(cache);
  const maxConditionLength = transformer.modelMaxLength;
  return new Detokenizer(parts, { positions: "reference", maxConditionLength, latentGrid }, cache);
}

const options: DetokenizeOptions = { steps: 2, guidance: 3, seed: 1 };
const levels = ({ data }: RgbImage, other: RgbImage) => data.map((value, i) => Math.abs(value - other.data[i]!));

test.each([
  [4, 4],
  [2, 2],
  [3, 5],
] as const)("an image of %i x %i latents is the same in short memory, decoded in bands", async (...latentGrid) => {
  const decoded: number[] = [];
  const ample = await detokenizer(AMPLE, latentGrid).detokenize(request, options);
  const short = await detokenizer(1, latentGrid).detokenize(request, {
    ...options,
    onDecode: (done) => void decoded.push(done),
  });
  expect([ample.height, ample.width]).toEqual([32 * latentGrid[0], 32 * latentGrid[1]]);
  expect(new Set(ample.data).size).toBeGreaterThan(100);
  expect(decoded.length).toBeGreaterThan(2);
  expect(Math.max(...levels(ample, short))).toBeLessThanOrEqual(1);
});

test("progress of steps and of parts of decoding; aborting stops after the one that goes on", async () => {
  const seen: string[] = [];
  const watch = (stopAt: string, stop = new AbortController()): DetokenizeOptions => {
    const note = (what: string) => {
      seen.push(what);
      if (what === stopAt) stop.abort(new Error(`stopped at ${what}`));
    };
    return {
      ...options,
      signal: stop.signal,
      onStep: (step, steps) => note(`step ${step} of ${steps}`),
      onDecode: (done) => note(`part ${done}`),
    };
  };
  const short = detokenizer(1);
  await expect(short.detokenize(request, watch("step 1 of 2"))).rejects.toThrow("stopped at step 1 of 2");
  await expect(short.detokenize(request, watch("part 2"))).rejects.toThrow("stopped at part 2");
  expect(seen).toEqual(["step 1 of 2", "step 1 of 2", "step 2 of 2", "part 1", "part 2"]);
});

test("previews show what the image is becoming, in short memory too", async () => {
  const previews: RgbImage[] = [];
  const onPreview = (image: RgbImage) => void previews.push(image);
  const image = await detokenizer(1).detokenize(request, { ...options, steps: 4, onPreview });
  expect(previews).toHaveLength(3);
  const distance = (preview: RgbImage) => levels(image, preview).reduce((a, b) => a + b, 0);
  expect(distance(previews[2]!)).toBeLessThan(distance(previews[0]!));
});
