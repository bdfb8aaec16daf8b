// kelix train toy, much shortened: a few steps of each stage, then a model that reads and draws, and a page.

import { mkdtemp, readFile, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, beforeAll, expect, test } from "vitest";
import { Kelix } from "../../src/index.ts";
import { toyRuns, trainToy } from "../../src/train/toy/toy.ts";

let root: string;
beforeAll(async () => {
  root = await mkdtemp(join(tmpdir(), "kelix-toy-"));
});
afterAll(() => rm(root, { recursive: true, force: true }));

test("trains every stage, stops at a signal, goes on, and ends with a model and a page", async () => {
  const stop = new AbortController();
  const log = (line: string) => {
    if (line === "stage 3 of 5: tokenizer") stop.abort();
  };
  const options = { share: 0.005 };
  await expect(trainToy(root, { ...options, log, signal: stop.signal })).rejects.toThrow(/abort/i);
  const lines: string[] = [];
  const { model, page } = await trainToy(root, { ...options, log: (line) => lines.push(line) });
  const stages = lines.filter((line) => line.startsWith("stage "));
  expect(stages).toEqual(["stage 3 of 5: tokenizer", "stage 4 of 5: language-model", "stage 5 of 5: diffusion"]);

  const kelix = await Kelix.load(model);
  const [image] = await kelix.imagine("a red circle", { seed: 1, steps: 1 });
  expect([image!.width, image!.height]).toEqual([40, 40]);
  // So little training says anything or nothing; that it is asked and answers is what counts.
  await expect(kelix.describe(image!, { maxNewTokens: 4 })).resolves.toEqual(expect.any(String));
  await kelix.dispose();

  const html = await readFile(page, "utf8");
  for (const run of toyRuns) expect(html).toContain(`runs/${run}/report.html`);
  expect(html.match(/data:image\/png;base64,/g)!.length).toBeGreaterThan(20);
  expect(html).not.toMatch(/(src|href)="https?:/);
}, 600_000);
