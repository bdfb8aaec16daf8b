// The suites that need drawn training data, on a small cache of their own: eight concepts in one style, one typeface of squares, and a
// judge with random weights.

import { mkdir, mkdtemp, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import type { RgbImage } from "../../image/rgb.ts";
import { writeSafetensors } from "../../quantize/safetensors-file.ts";
import { counterRandom } from "../../random/counter.ts";
import { f32, hostTensor } from "../../runtime/host-tensor.ts";
import { Graph } from "../../tensor/graph.ts";
import { CELL, CHARACTERS } from "../../train/data/fonts.ts";
import { letteringOf } from "../../train/data/lettering.ts";
import type { EvalModel } from "../eval-model.ts";
import { mobileNetFeatures } from "../judge/mobilenet.ts";
import { type SuiteContext, spread } from "../suite.ts";
import { emojiImagine, sharedCodes } from "./emoji-imagine.ts";
import { knownConcepts } from "./held-out.ts";
import { atSize, lettering } from "./lettering.ts";
import { naming } from "./naming.ts";
import { reconstruction } from "./reconstruction.ts";

const CONCEPTS = 8;
let cacheFolder: string;
beforeAll(async () => {
  cacheFolder = await mkdtemp(join(tmpdir(), "kelix-drawn-"));
  await writeDrawings();
  await writeJudge();
  await writeLettering();
});
afterAll(() => rm(cacheFolder, { recursive: true, force: true }));

/** The held-out images themselves, as if another style had drawn them alike. */
async function writeDrawings(): Promise<void> {
  const concepts = spread(await knownConcepts(), CONCEPTS);
  const folder = join(cacheFolder, "icons-96");
  await mkdir(folder, { recursive: true });
  const rgba = new Uint8Array(CONCEPTS * 96 * 96 * 4).fill(255);
  concepts.forEach(({ image }, row) => {
    for (let i = 0; i < 96 * 96; i++) rgba.set(image.data.subarray(3 * i, 3 * i + 3), (row * 96 * 96 + i) * 4);
  });
  await writeSafetensors(join(folder, "noto.safetensors"), [["images", hostTensor("u8", rgba, [CONCEPTS, 96, 96, 4])]]);
  const images = concepts.map(({ name, caption, hexcode }, row) => ({ name, caption, hexcode, style: "noto", row }));
  await writeFile(join(folder, "index.json"), JSON.stringify({ side: 96, licenses: {}, images }));
}

async function writeJudge(): Promise<void> {
  const graph = new Graph();
  mobileNetFeatures(graph.params, graph.input("pixels", [1, 3, 96, 96]));
  const random = counterRandom(1, "judge");
  const weights = [...graph.parameters.values()].map(({ path, shape }) => {
    const own = random.fork(path);
    const count = shape.reduce((a, b) => a * b, 1);
    const scale = shape.length === 4 ? Math.sqrt(2 / (count / shape[0]!)) : 0.1;
    return [
      path,
      f32(
        Float32Array.from({ length: count }, (_, i) => scale * own.normal(i)),
        shape,
      ),
    ] as const;
  });
  await mkdir(join(cacheFolder, "eval"), { recursive: true });
  await writeSafetensors(
    join(cacheFolder, "eval", "mobilenet-v2.safetensors"),
    weights.map(([name, t]) => [name, t]),
  );
}

async function writeLettering(): Promise<void> {
  const n = CHARACTERS.length;
  const random = counterRandom(1, "glyphs");
  const glyphs = Uint8Array.from({ length: n * CELL * CELL }, (_, i) => (random.uniform(i) < 0.3 ? 255 : 0));
  await mkdir(join(cacheFolder, "fonts"), { recursive: true });
  for (const font of ["lato-400", "inter-400"])
    await writeSafetensors(join(cacheFolder, "fonts", `${font}.safetensors`), [
      ["glyphs", hostTensor("u8", glyphs, [n, CELL, CELL])],
      ["advances", f32(new Float32Array(n).fill(36), [n])],
    ]);
  const folder = join(cacheFolder, "packages", "emojibase-data-17.0.0", "en");
  await mkdir(folder, { recursive: true });
  const names = Array.from({ length: 300 }, (_, i) => {
    const letters = counterRandom(i, "word").sequence();
    const label = Array.from({ length: 3 + (i % 4) }, () => letters.pick([..."abcdefghijklmnop"])).join("");
    return { label, hexcode: (0x1f400 + i).toString(16).toUpperCase() };
  });
  await writeFile(join(folder, "data.json"), JSON.stringify(names));
}

/** Positions along a side: many, since the floor of reconstruction takes its time for large patches. */
const SIDE = 12;

/** Codes that tell images apart: the mean red of each position. */
async function codesOf({ width, data }: RgbImage) {
  const codes = new Array<number>(SIDE * SIDE).fill(0);
  const patch = width / SIDE;
  for (let i = 0; i < data.length / 3; i++) {
    const at = Math.floor(i / width / patch) * SIDE + Math.floor((i % width) / patch);
    codes[at]! += (4 * data[3 * i]!) / 256;
  }
  return { grid: [SIDE, SIDE] as const, codes: codes.map(Math.round) };
}

const model: EvalModel = {
  codebooks: 1,
  codesPerBook: 16,
  ask: async () => "",
  tokenize: codesOf,
  reconstruct: async (image) => image,
  imagine: async () => {
    throw new Error("not asked for");
  },
  edit: async (image) => image,
};
const run = (more: Partial<EvalModel>, limit = CONCEPTS): SuiteContext => ({
  model: { ...model, ...more },
  limit,
  seed: 0,
  seeds: 1,
  cacheFolder,
  step: () => {},
  log: () => {},
});

describe("emoji-imagine", () => {
  test("the judge recognises what another style drew alike, and copies are counted", async () => {
    const concepts = await knownConcepts();
    const drawn = (caption: string) => concepts.find((concept) => concept.caption === caption)!.image;
    const right = await emojiImagine.run(
      run({ imagine: async (prompt) => ({ image: drawn(prompt), codes: await codesOf(drawn(prompt)) }) }),
    );
    expect(right.measures.judge!.value).toBeGreaterThanOrEqual(7 / 8);
    expect(right.measures.top5!.value).toBe(1);
    expect(right.measures.judge!.floors.chance).toBe(1 / 456);
    expect(right.measures.judge!.floors.originals).toBeGreaterThanOrEqual(7 / 8);
    const shifted = await emojiImagine.run(
      run({
        imagine: async (prompt) => ({
          image: drawn(prompt),
          codes: { grid: [SIDE, SIDE], codes: new Array(SIDE * SIDE).fill(-1) },
        }),
      }),
    );
    expect(shifted.measures.copied!.value).toBe(0);
    const [first] = spread(concepts, CONCEPTS);
    const other = await emojiImagine.run(
      run({ imagine: async () => ({ image: first!.image, codes: await codesOf(first!.image) }) }),
    );
    expect(other.measures.judge!.value).toBe(1 / 8);
  });

  test("codes are compared place by place", () => {
    expect(sharedCodes([1, 2, 3, 4], [1, 2, 4, 3])).toBe(0.5);
    expect(sharedCodes([1, 2], [1, 2, 3])).toBe(0);
  });
});

describe("with training drawings", () => {
  test("naming has its nearest-neighbour floor", async () => {
    const { measures } = await naming.run(run({}));
    expect(measures.accuracy!.value).toBe(0);
    expect(measures.accuracy!.floors.pixelNeighbour).toBeGreaterThanOrEqual(7 / 8);
  });

  test("reconstruction has its floors and what the judge makes of it", async () => {
    const { measures } = await reconstruction.run(run({}));
    expect(measures.recognised!.value).toBe(measures.recognised!.floors.originals);
    expect(measures.psnr!.floors.residualCodes).toBe(measures.psnr!.floors.oneResidualCode); // there is one book
    expect(measures.psnr!.floors.residualCodes).toBeGreaterThan(8);
    expect(measures.psnr!.floors.residualCodes).toBeLessThan(40);
  });
});

describe("lettering", () => {
  test("right is every letter in its case", async () => {
    const { samples, measures } = await lettering.run(run({}, 3));
    expect(Object.keys(measures)).toEqual(["random20", "words20", "random12", "words12"]);
    expect(measures.random20).toMatchObject({ value: 0, n: 3 });
    const texts = samples.map(({ images }) => images[0]!.label.split(": ")[1]!);
    const answering = (answers: readonly string[]) => {
      let index = 0;
      return lettering.run(run({ ask: async () => answers[index++]! }, 3));
    };
    const all = await answering(texts);
    for (const measure of Object.values(all.measures)) expect(measure.value).toBe(1);
    const swapped = texts.map((text) => (text === text.toLowerCase() ? text.toUpperCase() : text.toLowerCase()));
    const wrongCase = await answering(swapped);
    for (const measure of Object.values(wrongCase.measures)) expect(measure.value).toBe(0);
    expect(wrongCase.details[0]!.text).toContain("100.0 % in any case");
  });

  test("a line keeps its letters at another size, and one too wide is left out", () => {
    const font = { name: "x", glyph: () => new Uint8Array(CELL * CELL), advance: () => 32 };
    const source = letteringOf({ fonts: [font], words: [] }, "train");
    const line = { lines: ["abcd"], isWord: true, font: source.fonts[0]!, size: 30, letters: [] } as never;
    const placed = atSize(line, 20, 96, 0)!;
    expect(placed.letters.map(({ character }) => character).join("")).toBe("abcd");
    expect(placed.letters[0]!.advance).toBe(10);
    expect(placed.letters[3]!.x - placed.letters[0]!.x).toBeCloseTo(30);
    expect(placed.letters[3]!.x + 10).toBeLessThanOrEqual(93);
    expect(atSize(line, 60, 96, 0)).toBeUndefined();
  });
});
