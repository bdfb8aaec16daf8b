// Every suite that needs nothing from elsewhere, on a small random model: what it measures, and by which names.

import { mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { evaluateSuites, measuresOf } from "../src/eval/evaluate.ts";
import { Kelix } from "../src/kelix.ts";
import { writeTinyModel } from "./tiny-model.ts";

let folder: string;
let kelix: Kelix;
beforeAll(async () => {
  folder = await mkdtemp(join(tmpdir(), "kelix-eval-"));
  kelix = await Kelix.load(await writeTinyModel(join(folder, "model")), { threads: 1 });
});
afterAll(async () => {
  await kelix?.dispose();
  await rm(folder, { recursive: true, force: true });
});

const names = {
  reconstruction: ["psnr", "ssim", "bookUse", "perplexity"],
  naming: ["accuracy"],
  scenes: ["accuracy", "open", "yesNo"],
  compose: ["overall", "worst", "single", "two", "counting", "colors", "position", "attribution"],
  edit: ["accuracy"],
  "glyph-grid": ["level1", "level2", "level3", "level4"],
};

describe("evaluateSuites", () => {
  test("measures a model with intervals, floors and numbers of items", async () => {
    const notes: string[] = [];
    const parts = new Set<string>();
    const results = await evaluateSuites(kelix, Object.keys(names), {
      limit: 2,
      cacheFolder: join(folder, "no-cache"),
      onNote: (line) => notes.push(line),
      onProgress: (part) => parts.add(part),
    });
    const measures = measuresOf(results);
    for (const [suite, expected] of Object.entries(names)) {
      expect(Object.keys(measures[suite]!), suite).toEqual(expected);
      for (const [name, { value, low, high, n }] of Object.entries(measures[suite]!)) {
        const where = `${suite}.${name}`;
        expect(Number.isFinite(value), where).toBe(true);
        expect(low, where).toBeLessThanOrEqual(value);
        expect(high, where).toBeGreaterThanOrEqual(value);
        expect(n, where).toBeGreaterThan(0);
      }
    }
    expect(measures.edit!.accuracy!.floors).toEqual({ unchanged: 0 });
    expect(notes.join("\n")).toContain("kelix data");
    expect(parts).toContain("glyph-grid: level 4");
    expect(results.every(({ samples }) => samples.length > 0)).toBe(true);
  });

  test("the same seed gives the same numbers", async () => {
    const run = () => evaluateSuites(kelix, ["compose"], { limit: 1, seed: 5, cacheFolder: folder });
    expect(measuresOf(await run())).toEqual(measuresOf(await run()));
  });

  test("says what to do where drawings are missing, and ends when it is told", async () => {
    const cacheFolder = join(folder, "no-cache");
    await expect(evaluateSuites(kelix, ["emoji-imagine"], { cacheFolder })).rejects.toThrow("run `kelix data` first");
    await expect(evaluateSuites(kelix, ["lettering"], { cacheFolder })).rejects.toThrow("data");
    await expect(evaluateSuites(kelix, ["vqa"], { cacheFolder })).rejects.toThrow("--data FILE");
    await expect(evaluateSuites(kelix, ["naming"], { signal: AbortSignal.abort(new Error("enough")) })).rejects.toThrow(
      "enough",
    );
  });
});
