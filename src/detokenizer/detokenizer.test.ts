import { readFile } from "node:fs/promises";
import { afterAll, beforeAll, expect, test } from "vitest";
import type { Checkpoint } from "../checkpoint/checkpoint.ts";
import type { RgbImage } from "../image/rgb.ts";
import { counterRandom } from "../random/counter.ts";
import { SessionCache } from "../runtime/session-cache.ts";
import { openCheckpointAt } from "../train/open-checkpoint.ts";
import { parseAutoencoderConfig, parseDitConfig } from "./config.ts";
import { type DetokenizeOptions, Detokenizer } from "./detokenizer.ts";

// The reference's tiny weights: 8 x 8 latents of 8 channels, a DC-AE of factor 8.
let detokenizer: Detokenizer;
const sessions = new SessionCache(2 ** 30);
const opened: Checkpoint[] = [];

async function part(name: string) {
  const weights = await openCheckpointAt(`test/golden/${name}/weights.safetensors`);
  opened.push(weights);
  return { json: JSON.parse(await readFile(`test/golden/${name}/config.json`, "utf8")), weights };
}

beforeAll(async () => {
  const [dit, dcae] = [await part("dit"), await part("dcae")];
  detokenizer = new Detokenizer(
    {
      transformer: { config: parseDitConfig(dit.json, "config.json", () => {}), weights: dit.weights },
      autoencoder: { config: parseAutoencoderConfig(dcae.json), weights: dcae.weights },
    },
    { maxConditionLength: 24, positions: "raster" },
    sessions,
  );
});

afterAll(async () => {
  await sessions.close();
  await Promise.all(opened.map((checkpoint) => checkpoint.close()));
});

const request = {
  condition: counterRandom(7).fillNormal(new Float32Array(18 * 56)),
  codeGrid: [4, 4],
} as const;
const make = (options: DetokenizeOptions) => detokenizer.detokenize(request, { steps: 2, ...options });

test("makes an image of the autoencoder's size, the same for the same seed and another for another", async () => {
  const [a, b, c] = [await make({ seed: 1 }), await make({ seed: 1 }), await make({ seed: 2 })];
  expect([a.width, a.height, a.data.length]).toEqual([64, 64, 64 * 64 * 3]);
  expect(a.data).toEqual(b.data);
  expect(a.data).not.toEqual(c.data);
});

test("guidance towards 1 is the image without guidance, which runs half the batch", async () => {
  const [plain, guided] = [await make({ guidance: 1 }), await make({ guidance: 1 + 1e-7 })];
  const worst = Math.max(...plain.data.map((value, i) => Math.abs(value - guided.data[i]!)));
  expect(worst).toBeLessThanOrEqual(1);
});

test("the condition and guidance change the image", async () => {
  const [plain, guided] = [await make({}), await make({ guidance: 4 })];
  expect(plain.data).not.toEqual(guided.data);
});

test("a preview after each step but the last, of what the image is becoming", async () => {
  const previews: RgbImage[] = [];
  const options = { steps: 3, onPreview: (image: RgbImage) => void previews.push(image) };
  const image = await make(options);
  expect(previews.map(({ width, height }) => [width, height])).toEqual([
    [64, 64],
    [64, 64],
  ]);
  const distance = ({ data }: RgbImage) =>
    data.reduce((sum, value, i) => sum + Math.abs(value - image.data[i]!), 0) / data.length;
  expect(distance(previews[1]!)).toBeLessThan(distance(previews[0]!));
});

test("rejects conditions of a wrong length", async () => {
  const long = { ...request, condition: new Float32Array(25 * 56) };
  await expect(detokenizer.detokenize(long)).rejects.toThrow("25 entries");
});

test("stops when aborted", async () => {
  await expect(make({ signal: AbortSignal.abort(new Error("stop")) })).rejects.toThrow("stop");
});
