import { mkdir, mkdtemp, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { listDemoImages, openHeldOut } from "../../eval/heldout.ts";
import { writeSafetensors } from "../../quantize/safetensors-file.ts";
import { hostTensor } from "../../runtime/host-tensor.ts";
import { type Corpus, corpusTexts, inStyle, openCorpus } from "./corpus.ts";
import type { IndexEntry } from "./render.ts";
import { HELD_OUT_STYLE, isHeldOutConcept, splits } from "./split.ts";
import { writeHeldOut } from "./write-heldout.ts";

const SIDE = 16;
const styles = ["noto", "openmoji", HELD_OUT_STYLE];
const hexcodes = Array.from({ length: 40 }, (_, i) => (0x1f400 + i).toString(16).toUpperCase());

/** Every image is one colour that tells its style and row, opaque in the middle. */
async function writeCache(cache: string): Promise<void> {
  const folder = join(cache, `icons-${SIDE}`);
  await mkdir(folder, { recursive: true });
  const images: IndexEntry[] = [];
  for (const [s, style] of styles.entries()) {
    const data = new Uint8Array(hexcodes.length * SIDE * SIDE * 4);
    for (const [row, hexcode] of hexcodes.entries()) {
      const image = data.subarray(row * SIDE * SIDE * 4, (row + 1) * SIDE * SIDE * 4);
      for (let at = 0; at < SIDE * SIDE; at++) {
        const isInside = at % SIDE > 1 && at % SIDE < SIDE - 2 && at > 2 * SIDE && at < SIDE * (SIDE - 2);
        image.set([50 * s, 5 * row, 100, isInside ? 255 : 0], at * 4);
      }
      images.push({ name: `thing ${row}`, caption: `a thing ${row}`, hexcode, style, row });
    }
    await writeSafetensors(join(folder, `${style}.safetensors`), [
      ["images", hostTensor("u8", data, [hexcodes.length, SIDE, SIDE, 4])],
    ]);
  }
  await writeFile(join(folder, "index.json"), JSON.stringify({ side: SIDE, licenses: {}, images }));
}

let cache = "";
let corpus: Corpus;
beforeAll(async () => {
  cache = await mkdtemp(join(tmpdir(), "kelix-corpus-"));
  await writeCache(cache);
  corpus = await openCorpus(cache, SIDE);
});
afterAll(() => rm(cache, { recursive: true, force: true }));

describe("the split", () => {
  test("keeps whole concepts and one whole style from training", () => {
    for (const { hexcode, style } of corpus.entries("train")) {
      expect(style).not.toBe(HELD_OUT_STYLE);
      expect(isHeldOutConcept(hexcode)).toBe(false);
    }
    for (const { hexcode, style } of corpus.entries("heldOutStyle")) {
      expect([style, isHeldOutConcept(hexcode)]).toEqual([HELD_OUT_STYLE, false]);
    }
    for (const { hexcode } of corpus.entries("heldOutConcept")) expect(isHeldOutConcept(hexcode)).toBe(true);
    const counted = splits.reduce((sum, split) => sum + corpus.entries(split).length, 0);
    expect(counted).toBe(styles.length * hexcodes.length);
  });

  test("holds back about an eighth of many concepts", () => {
    const many = Array.from({ length: 4000 }, (_, i) => i.toString(16));
    expect(many.filter(isHeldOutConcept).length / many.length).toBeCloseTo(0.12, 1);
  });
});

describe("Corpus.sample", () => {
  test("is a function of kind, split, seed and index, in any order", async () => {
    const other = await openCorpus(cache, SIDE);
    for (const index of [7, 3, 0, 7]) {
      for (const kind of ["emoji", "scene"] as const) {
        expect(other.sample(kind, "train", 5, index)).toEqual(corpus.sample(kind, "train", 5, index));
      }
    }
    expect(corpus.sample("emoji", "train", 6, 0).image).not.toEqual(corpus.sample("emoji", "train", 5, 0).image);
  });

  test("pairs each emoji image with its own caption", () => {
    for (let index = 0; index < 60; index++) {
      const { concept, caption, describe: turn, prompt } = corpus.sample("emoji", "train", 1, index);
      expect(caption).toBe(concept!.caption);
      expect(turn.answer).toBe(caption);
      expect(prompt.toLowerCase()).toContain(concept!.name);
    }
  });

  test("shows what is asked for nearly plain, and what is asked about in any view", () => {
    const corner = (use: "question" | "request", index: number) =>
      [...corpus.sample("emoji", "train", 1, index, use).image.data.subarray(0, 3)].join();
    const indices = Array.from({ length: 60 }, (_, i) => i);
    expect(new Set(indices.map((i) => corner("request", i)))).toEqual(new Set(["255,255,255"]));
    expect(new Set(indices.map((i) => corner("question", i))).size).toBeGreaterThan(5);
  });

  test("asks in training whether it is this or that, with yes as often as no", () => {
    const asked = Array.from({ length: 400 }, (_, i) => corpus.sample("emoji", "train", 2, i));
    const yes = asked.filter(({ question }) => question!.answer === "yes");
    expect(yes.length).toBeGreaterThan(150);
    expect(yes.length).toBeLessThan(250);
    for (const { question, concept } of asked) {
      expect(new RegExp(`\\b${concept!.name}\\b`).test(question!.question.toLowerCase())).toBe(
        question!.answer === "yes",
      );
    }
  });

  test("walks held-out images in order, without augmentation", () => {
    const entries = corpus.entries("heldOutStyle");
    const first = corpus.sample("emoji", "heldOutStyle", 1, 0);
    const { concept, image } = corpus.sample("emoji", "heldOutStyle", 2, entries.length);
    expect(concept).toEqual(entries[0]);
    expect(image).toEqual(first.image);
    const middle = ((SIDE / 2) * SIDE + SIDE / 2) * 3;
    expect([...image.data.subarray(middle, middle + 3)]).toEqual([100, 5 * entries[0]!.row, 100]);
    expect([...image.data.subarray(0, 3)]).toEqual([255, 255, 255]);
  });

  test("gives scenes a question, and other scenes to other splits", () => {
    const [train, held] = [corpus.sample("scene", "train", 1, 0), corpus.sample("scene", "heldOutConcept", 1, 0)];
    expect(train.question?.answer).toBeTruthy();
    expect(train.image).not.toEqual(held.image);
  });
});

test("an empty cache is answered with the command that fills it", async () => {
  await expect(openCorpus(join(cache, "nothing"), SIDE)).rejects.toThrow("kelix data");
});

test("the vocabulary's texts hold names of concepts and the words of scenes", () => {
  const texts = [...corpusTexts(corpus, ["emoji", "scene"], 300)].join("\n");
  for (const word of ["thing 7", "What is this?", "circles", "purple", "to the left of", "How many", "color"]) {
    expect(texts).toContain(word);
  }
});

test("a style is said between the article and the name", () => {
  expect(inStyle({ caption: "an apple", style: "fluent-emoji" })).toBe("a glossy apple");
  expect(inStyle({ caption: "a red apple", style: "openmoji" })).toBe("an outlined red apple");
  expect(inStyle({ caption: "grapes", style: "noto" })).toBe("shaded grapes");
});

test("the held-out sample reads back as it was written", async () => {
  const folder = join(cache, "heldout");
  const license = { title: "CC BY 4.0", author: "Somebody", url: "https://example.com" };
  const count = await writeHeldOut(folder, corpus, { [HELD_OUT_STYLE]: license });
  const images = await openHeldOut(folder);
  expect(images).toHaveLength(count);
  const known = images.filter(({ isKnownConcept }) => isKnownConcept);
  expect(known).toHaveLength(corpus.entries("heldOutStyle").length);
  expect(known[3]!.image).toEqual(corpus.sample("emoji", "heldOutStyle", 0, 3).image);
  expect((await listDemoImages(join(folder, "demo"))).map(({ caption }) => caption)).toHaveLength(2);
});
