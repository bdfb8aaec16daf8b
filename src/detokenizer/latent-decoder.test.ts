import { afterAll, describe, expect, test } from "vitest";
import { randomWeights } from "../../test/random-weights.ts";
import { smallAutoencoder } from "../../test/released-detokenizer.ts";
import { counterRandom } from "../random/counter.ts";
import { memoryWeights } from "../runtime/memory-weights.ts";
import { SessionCache } from "../runtime/session-cache.ts";
import { Graph } from "../tensor/graph.ts";
import { peakBytes } from "../tensor/peak-memory.ts";
import { decode } from "./autoencoder.ts";
import { parseAutoencoderConfig } from "./config.ts";
import { decodeGraph } from "./decode-plan.ts";
import { LatentDecoder } from "./latent-decoder.ts";

const caches: SessionCache[] = [];
const grid = [3, 2] as const;

/** A decoder with random weights whose parts may hold so many bytes. */
function decoder(json: object, limitBytes = 2 ** 30): LatentDecoder {
  const config = parseAutoencoderConfig(json);
  const graph = new Graph();
  decode(graph.params, graph.input("latents", [1, config.latentChannels, 1, 1]), config);
  const weights = memoryWeights(new Map(Object.entries(randomWeights(graph))));
  const sessions = new SessionCache(2 * limitBytes, { threads: 1 });
  caches.push(sessions);
  return new LatentDecoder(config, weights, sessions);
}

const latents = (decoder: LatentDecoder) =>
  counterRandom(3).fillNormal(new Float32Array(decoder.config.latentChannels * grid[0] * grid[1]));

/** A limit that allows this share of what decoding whole takes. */
const limited = (json: object, share: number) => {
  const whole = decoder(json);
  return decoder(json, share * peakBytes(decodeGraph(whole.config, whole.plan(grid).whole)));
};

const shuffled = {
  ...smallAutoencoder,
  decoder_layers_per_block: [0, 1, 2, 1, 1, 1],
  upsample_block_type: "pixel_shuffle",
};
const plain = { ...smallAutoencoder, decoder_block_types: "ResBlock" };

describe.each([
  ["doubling by repeating pixels", smallAutoencoder],
  ["doubling by moving channels into pixels, the finest stage empty", shuffled],
  ["without attention", plain],
])("%s", (_, json) => {
  test.each([
    ["in half the memory", 0.5],
    ["in a fifth of it", 0.2],
    ["row by row", 0],
  ])("an image decoded in bands, %s, is the whole one", async (_, share) => {
    const [whole, banded] = [decoder(json), limited(json, share)];
    const { rest } = banded.plan(grid);
    expect(whole.plan(grid).rest).toBeUndefined();
    expect(rest!.bands.length).toBeGreaterThan(1);
    const expected = await whole.decode(latents(whole), grid);
    const image = await banded.decode(latents(banded), grid);
    expect([image.width, image.height]).toEqual([64, 96]);
    expect(new Set(expected.data).size).toBeGreaterThan(100); // an image, not one colour
    const differences = expected.data.map((value, i) => Math.abs(value - image.data[i]!));
    expect(Math.max(...differences)).toBeLessThanOrEqual(1); // rounding errors may carry a level over its edge, rarely
    expect(differences.filter((level) => level > 0).length / differences.length).toBeLessThan(0.005);
  });
});

test("tells of each part, and stops after the one at which it is aborted", async () => {
  const banded = limited(smallAutoencoder, 0.2);
  const parts = 1 + banded.plan(grid).rest!.bands.length;
  const seen: number[][] = [];
  await banded.decode(latents(banded), grid, { onPart: (done, total) => void seen.push([done, total]) });
  expect(seen).toEqual(Array.from({ length: parts }, (_, i) => [i + 1, parts]));
  const stop = new AbortController();
  let done = 0;
  const onPart = () => void (++done === 2 && stop.abort(new Error("enough")));
  await expect(banded.decode(latents(banded), grid, { onPart, signal: stop.signal })).rejects.toThrow("enough");
  expect(done).toBe(2);
});

test("counts the work of rows that are decoded twice", () => {
  expect(limited(smallAutoencoder, 0.2).flop(grid)).toBeGreaterThan(decoder(smallAutoencoder).flop(grid));
});

afterAll(() => Promise.all(caches.map((cache) => cache.close())));
