import { mkdtemp, readFile, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterEach, beforeEach, expect, test } from "vitest";
import { openData } from "../corpus/open.ts";
import type { RgbImage } from "../image/rgb.ts";
import { OwnData } from "../train/data/own-data.ts";
import { type BestOfOptions, bestOf, type Chooser, trainingPrompts } from "./best-of.ts";

const prompts = ["a pear", "a kite", "a crab"].map((caption, i) => ({ caption, hexcode: `c${i}` }));
const options: BestOfOptions = { model: "m", n: 4, seed: 100 };

/** One level of grey: the seed, so that the judge can tell the images apart. */
const grey = (level: number): RgbImage => ({ width: 8, height: 8, data: new Uint8Array(192).fill(level) });

/** Seeds of the first prompt: two right, the second nearer. No image of the second prompt is right. */
const opinions: Record<number, [label: string, cosine: number]> = {
  101: ["c0", 0.5],
  103: ["c0", 0.7],
  102: ["c1", 0.9],
  105: ["c0", 0.9],
  108: ["c2", 0.2],
};
const judge: Chooser = {
  rank: async (images) =>
    images.map(({ data }) => {
      const [label, cosine] = opinions[data[0]!] ?? ["none", 0];
      return { labels: [label], cosine };
    }),
};

let out: string;
let drawn: string[] = [];
const draw = async (caption: string, seed: number) => {
  drawn.push(`${caption} ${seed}`);
  return Array.from({ length: options.n }, (_, i) => grey(seed + i));
};

let scratch: string;
beforeEach(async () => {
  drawn = [];
  scratch = await mkdtemp(join(tmpdir(), "kelix-best-"));
  out = join(scratch, "kept");
});
afterEach(() => rm(scratch, { recursive: true }));

test("keeps the nearest of the right images, and nothing where none is right", async () => {
  const { done } = await bestOf(prompts, draw, judge, out, options);
  expect(done).toEqual([
    { caption: "a pear", right: 2, image: "images/0.png" },
    { caption: "a kite", right: 0 },
    { caption: "a crab", right: 1, image: "images/2.png" },
  ]);
  expect(drawn).toEqual(["a pear 100", "a kite 104", "a crab 108"]);
  const data = await OwnData.open({ path: out, skipBad: false }, { seed: 1 });
  const sample = { side: 8, use: "request" as const };
  const read = [await data.sample(0, sample), await data.sample(1, sample)];
  const levels = new Map(read.map(({ caption, image }) => [caption, image.data[0]]));
  await data.close();
  expect(levels).toEqual(
    new Map([
      ["a pear", 103],
      ["a crab", 108],
    ]),
  );
});

test("an interrupted call goes on where it stopped and writes the same", async () => {
  const stop = new AbortController();
  const cut = async (caption: string, seed: number) => {
    if (caption === "a kite") stop.abort(new Error("enough"));
    return draw(caption, seed);
  };
  await expect(bestOf(prompts, cut, judge, out, { ...options, signal: stop.signal })).rejects.toThrow("enough");
  const kept = await readFile(join(out, "captions.jsonl"), "utf8");
  drawn = [];
  await bestOf(prompts, draw, judge, out, options);
  expect(drawn).toEqual(["a crab 108"]);
  const resumed = await readFile(join(out, "captions.jsonl"), "utf8");
  expect(resumed.startsWith(kept)).toBe(true);
  expect(resumed).toBe('{"image":"images/0.png","caption":"a pear"}\n{"image":"images/2.png","caption":"a crab"}\n');
  const source = await openData(out);
  expect(source.count).toBe(2);
  await source.close();
});

test("images of other options or prompts do not join a folder", async () => {
  await bestOf(prompts.slice(0, 1), draw, judge, out, options);
  await expect(bestOf(prompts, draw, judge, out, { ...options, n: 8 })).rejects.toThrow("was made with n 4, not 8");
  await expect(bestOf(prompts.slice(1), draw, judge, out, options)).rejects.toThrow("other prompts");
  await expect(bestOf(prompts, draw, judge, scratch, options)).rejects.toThrow("has no best-of.json");
});

test("prompts are the names of training concepts, each once", () => {
  const drawings = { captions: ["a pear", "a pear", "a kite"], hexcodes: ["c0", "c0", "c1"] };
  expect(trainingPrompts(drawings)).toEqual(prompts.slice(0, 2));
});
