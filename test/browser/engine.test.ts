// Models at lower precision in Chromium on WebAssembly.

import { join } from "node:path";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { folderFiles } from "../../src/files/folder.node.ts";
import { Kelix } from "../../src/index.ts";
import { platform } from "../../src/platform.node.ts";
import { convertModel } from "../../src/quantize/convert.ts";
import { loadText } from "../../src/text/load-text.ts";
import { type EnginePage, job, octopus, openEnginePage } from "./engine-page.ts";
import { runLanguageModel } from "./page/engine.js";

let engine: EnginePage;
beforeAll(async () => {
  engine = await openEnginePage();
});
afterAll(() => engine?.close());

describe.each(["int8", "int4"] as const)("a model in %s", (weights) => {
  let folder: string;
  beforeAll(async () => {
    folder = join(engine.models, weights);
    await convertModel("kelix-nano", folder, { weights });
  });

  test("has the logits of Node within 3 % of the largest, and writes the same tokens up to the end of the caption", async () => {
    const files = folderFiles(folder);
    const { tokenizer } = await loadText(files, platform.templates);
    // Words of its captions: elsewhere, as after the end, many tokens are about as likely, and rounding decides.
    const ids = tokenizer.encode("a green square above a red heart");
    const own = await runLanguageModel(files, ids);
    const found = (await engine.page.evaluate(
      `runLanguageModel("/models/${weights}/", ${JSON.stringify(ids)})`,
    )) as typeof own;
    expect(found.written).toHaveLength(20);
    const end = tokenizer.special("<|im_end|>");
    const caption = own.written.slice(0, own.written.indexOf(end) + 1);
    expect(caption.length).toBeGreaterThan(1);
    expect(found.written.slice(0, caption.length)).toEqual(caption);
    const largest = Math.max(...own.scores.flat().map(Math.abs));
    const worst = Math.max(...own.scores.flatMap((row, t) => row.map((x, i) => Math.abs(x - found.scores[t]![i]!))));
    expect(own.scores).toHaveLength(8);
    expect(worst / largest).toBeLessThan(0.03);
    expect(worst).toBeGreaterThan(0); // Node rounds the inputs of each product, WebAssembly computes in float32
  });

  test("answers what it answers in Node", async () => {
    const { text, devices } = await engine.ask({ ...job, model: `/models/${weights}/` });
    const kelix = await Kelix.load(folder);
    expect(text).toBe(await kelix.describe(octopus, { prompt: job.question }));
    await kelix.dispose();
    expect(devices).toContainEqual({
      network: "vision encoder",
      device: "wasm",
      reason: "the only WebGPU adapter is software",
    });
  });
});
