import { join } from "node:path";
import { afterAll, beforeAll, expect, test } from "vitest";
import type { Checkpoint } from "../checkpoint/checkpoint.ts";
import { scoreSlot } from "../eval/slot-scores.ts";
import { expandRow } from "../sequence/blocks.ts";
import { openCheckpointAt } from "../train/open-checkpoint.ts";
import { rowBytes } from "./cache.ts";
import { tokenHeadConfigSchema, unifiedQwen3ConfigSchema } from "./config.ts";
import { LanguageModel } from "./language-model.ts";
import { PrefixCache } from "./prefix-cache.ts";
import type { Sequence } from "./sequence.ts";

const MEGABYTE = 2 ** 20;

let model: LanguageModel;
let weights: Checkpoint;
beforeAll(async () => {
  const { default: golden } = await import("../../test/golden/ar/config.json", { with: { type: "json" } });
  weights = await openCheckpointAt(join(import.meta.dirname, "../../test/golden/ar/weights.safetensors"));
  const head = tokenHeadConfigSchema.parse(golden.token_decoder);
  const config = { qwen: unifiedQwen3ConfigSchema.parse(golden.qwen), head };
  model = await LanguageModel.open(config, weights, { threads: 1 });
});
afterAll(async () => {
  await model.dispose();
  await weights.close();
});

/** An image of 20 blocks, and `question` after it. */
const aboutImage = (question: readonly number[]) => {
  const { visionStart, visionEnd, imagePad, vocabSize } = model.vocabulary;
  const ids = Int32Array.from({ length: 20 * 4 }, (_, i) => vocabSize + (i % 4) * 16 + ((i * 7) % 16));
  return expandRow(
    [2, 3, visionStart, ...Array<number>(20).fill(imagePad), visionEnd, ...question],
    ids,
    model.vocabulary,
  );
};

/** Reads what of a row the cache's sequence has not read. */
async function readOn(cache: PrefixCache, row: Int32Array): Promise<{ sequence: Sequence; known: number }> {
  const sequence = cache.take(row);
  const known = sequence.length;
  await sequence.read(row.subarray(sequence.blocks.length));
  return { sequence, known };
}

function bytesOf(sequence: Sequence): number {
  return sequence.ownBytes + rowBytes(sequence.rows);
}

async function expectFreshScores(sequence: Sequence, row: Int32Array): Promise<void> {
  const fresh = model.start();
  await fresh.read(row);
  const [found, wanted] = [await scoreSlot(model, sequence, []), await scoreSlot(model, fresh, [])];
  const scale = Math.max(...wanted.map(Math.abs));
  expect(Math.max(...found.map((x, i) => Math.abs(x - wanted[i]!)))).toBeLessThan(1e-5 * scale);
  const states = (from: Sequence) => from.hidden(0, from.length);
  expect(states(sequence).length).toBe(states(fresh).length);
}

test("a second question to the same image, and the next turn, read only what is new and score like a new sequence", async () => {
  const cache = new PrefixCache(model, MEGABYTE);
  const first = aboutImage([4, 5, 6, 7, 8, 31]);
  cache.keep((await readOn(cache, first)).sequence);
  const second = aboutImage([9, 10, 11]);
  const again = await readOn(cache, second);
  expect(again.known).toBe(24);
  await expectFreshScores(again.sequence, second);
  cache.keep(again.sequence);
  const turn = aboutImage([9, 10, 11, 30, 31, 2, 12, 13]);
  const next = await readOn(cache, turn);
  expect(next.known).toBe(27);
  await expectFreshScores(next.sequence, turn);
});

test("the same row again is not read at all", async () => {
  const cache = new PrefixCache(model, MEGABYTE);
  const row = aboutImage([4, 5]);
  cache.keep((await readOn(cache, row)).sequence);
  const { sequence, known } = await readOn(cache, row);
  expect(known).toBe(26);
  await expectFreshScores(sequence, row);
});

test("two users at once have each a sequence of their own", async () => {
  const cache = new PrefixCache(model, MEGABYTE);
  const start = aboutImage([]);
  cache.keep((await readOn(cache, start)).sequence);
  const rows = [aboutImage([4, 5, 6]), aboutImage([7, 8, 9])];
  const used = await Promise.all(rows.map((row) => readOn(cache, row)));
  expect(used[0]!.sequence).not.toBe(used[1]!.sequence);
  for (const [i, row] of rows.entries()) await expectFreshScores(used[i]!.sequence, row);
  for (const { sequence } of used) cache.keep(sequence);
  expect(cache.take(rows[0]!).length).toBe(27);
  expect(cache.take(rows[1]!).length).toBe(27);
});

test("a row that shares only a short beginning leaves what was read as it is", async () => {
  const cache = new PrefixCache(model, MEGABYTE);
  const long = aboutImage([4, 5, 6]);
  cache.keep((await readOn(cache, long)).sequence);
  expect((await readOn(cache, expandRow([2, 3, 50], [], model.vocabulary))).known).toBe(2);
  expect((await readOn(cache, long)).known).toBe(27);
});

test("keeps no more than its memory, the latest first, and nothing with 0", async () => {
  const one = model.start();
  await one.read(aboutImage([4]));
  const cache = new PrefixCache(model, 2.5 * bytesOf(one));
  const rows = [2, 3, 4].map((id) => expandRow([id, ...Array<number>(24).fill(7)], [], model.vocabulary));
  for (const row of rows) cache.keep((await readOn(cache, row)).sequence);
  expect(cache.bytes).toBeLessThanOrEqual(2.5 * bytesOf(one));
  expect(rows.map((row) => cache.take(row).length)).toEqual([0, 25, 25]);
  const none = new PrefixCache(model, 0);
  none.keep(one);
  expect(none.bytes).toBe(0);
  expect(none.take(aboutImage([4])).length).toBe(0);
});

test("keeps one sequence, not also those that it begins with", async () => {
  const cache = new PrefixCache(model, MEGABYTE);
  const [short, long] = [model.start(), model.start()];
  await short.read(aboutImage([]));
  await long.read(aboutImage([4, 5]));
  cache.keep(short);
  cache.keep(long);
  expect(cache.bytes).toBe(bytesOf(long));
});

test("counts each piece once, however many have it and whoever goes", async () => {
  const most = 60_000;
  const cache = new PrefixCache(model, most);
  const kept: Sequence[] = [];
  for (let i = 0; i < 12; i++) {
    const { sequence } = await readOn(cache, aboutImage([4, ...Array.from({ length: 1 + (i % 5) }, () => 5 + i)]));
    cache.keep(sequence);
    kept.push(sequence);
    expect(cache.bytes).toBeLessThanOrEqual(most);
    // What is held is the newest of what was kept: some of the last sequences, less those that later ones begin with.
    const sums = kept.map((_, from) => {
      const held = kept.slice(from);
      const pieces = new Set(held.flatMap(({ rows }) => rows.map(({ data }) => data)));
      const own = held.reduce((sum, { ownBytes }) => sum + ownBytes, 0);
      return own + [...pieces].reduce((sum, { byteLength }) => sum + byteLength, 0);
    });
    expect(sums).toContain(cache.bytes);
  }
  expect(kept.length).toBe(12);
});
