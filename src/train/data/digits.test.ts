import { mkdir, mkdtemp, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, beforeAll, expect, test } from "vitest";
import { writeTinyCorpus } from "../../../test/tiny-corpus.ts";
import { openCorpus } from "./corpus.ts";
import { digitPackage, enlarge, openDigits, renderDigits } from "./digits.ts";
import { packageFolder } from "./packages.ts";
import { colours } from "./scenes.ts";

const COPIES = 30;
let cache: string;

/** A package whose drawings of digit d are squares of d + 4 pixels. */
beforeAll(async () => {
  cache = await mkdtemp(join(tmpdir(), "kelix-digits-"));
  const folder = join(packageFolder(cache, digitPackage), "src", "digits");
  await mkdir(folder, { recursive: true });
  for (let digit = 0; digit < 10; digit++) {
    const one = Array.from({ length: 784 }, (_, at) => (at % 28 < digit + 4 && at < 28 * (digit + 4) ? 1 : 0));
    await writeFile(join(folder, `${digit}.json`), JSON.stringify({ data: Array(COPIES).fill(one).flat() }));
  }
  await renderDigits(cache, () => {});
  await writeTinyCorpus(cache);
});

afterAll(() => rm(cache, { recursive: true }));

test("every digit keeps its label and its mask, and is either trained on or held out", async () => {
  const digits = await openDigits(cache);
  expect([...digits.train, ...digits.heldOut].sort((a, b) => a - b)).toEqual(
    Array.from({ length: 10 * COPIES }, (_, row) => row),
  );
  expect(digits.heldOut.length / (10 * COPIES)).toBeCloseTo(0.1, 1);
  for (const row of [0, 95, 299]) {
    const label = Math.floor(row / COPIES);
    expect(digits.label(row)).toBe(label);
    expect(digits.mask(row, 28).filter((value) => value === 255)).toHaveLength((label + 4) ** 2);
  }
});

test("enlarging interpolates between the middles of pixels", () => {
  const ramp = Uint8Array.from({ length: 784 }, (_, at) => 9 * (at % 28));
  const large = enlarge(ramp, 56);
  // Pixel x of 56 lies at x / 2 - 1 / 4 of 28.
  expect([...large.subarray(56 * 20 + 10, 56 * 20 + 14)]).toEqual([43, 47, 52, 56]);
  expect(large[0]).toBe(0);
});

test("questions about a digit name it or its colour, and held-out ones are asked in plain words", async () => {
  const corpus = await openCorpus(cache, 32, ["digit"]);
  for (let index = 0; index < 40; index++) {
    const { caption, describe, question, colour, prompt } = corpus.sample("digit", "train", 1, index);
    const [digit] = /\d$/.exec(caption)!;
    expect(describe.answer).toBe(`a handwritten ${digit}`);
    expect([digit, colour]).toContain(question!.answer);
    expect(question!.answer === colour).toBe(question!.about === "colour");
    expect(colours).toContain(colour);
    expect(prompt.toLowerCase()).toContain(digit);
    const held = corpus.sample("digit", "heldOutStyle", 1, index);
    expect(["Which digit is this?", "What colour is the digit?"]).toContain(held.question!.question);
  }
});
