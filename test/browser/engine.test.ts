// The engine in Chromium, bundled from the sources: models at lower precision on WebAssembly, and WebGPU on a software adapter.

import { mkdir, mkdtemp, readFile, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { build } from "esbuild";
import type { Browser, Page } from "playwright-core";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { folderFiles } from "../../src/files/folder.node.ts";
import { Kelix, type NetworkPlace } from "../../src/index.ts";
import { platform } from "../../src/platform.node.ts";
import { convertModel } from "../../src/quantize/convert.ts";
import { loadText } from "../../src/text/load-text.ts";
import { launchChromium, SOFTWARE_WEBGPU } from "./chromium.ts";
import { runLanguageModel } from "./page/engine.js";
import type { runJob } from "./page/job.js";
import { type Site, serve } from "./site.ts";

const root = fileURLToPath(new URL("../..", import.meta.url));
const octopus = join(root, "data/heldout/demo/octopus.png");
const job = { model: "/model/", image: "/images/octopus.png", question: "What is this?" };

let site: Site;
let browser: Browser;
let page: Page;
beforeAll(async () => {
  const folder = await mkdtemp(join(tmpdir(), "kelix-engine-"));
  const out = join(folder, "page");
  await build({
    entryPoints: [join(root, "test/browser/page/engine.js")],
    bundle: true,
    format: "esm",
    outdir: out,
    conditions: ["kelix-source"],
    logLevel: "warning",
  });
  await writeFile(join(out, "index.html"), '<!doctype html><script type="module" src="engine.js"></script>');
  // Beside the bundle, where ONNX Runtime looks for them.
  for (const name of ["ort-wasm-simd-threaded.wasm", "ort-wasm-simd-threaded.asyncify.wasm"])
    await writeFile(join(out, name), await readFile(fileURLToPath(import.meta.resolve(`onnxruntime-web/${name}`))));
  await mkdir(join(folder, "models"));
  site = await serve(folder, {
    "/page/": out,
    "/model/": join(root, "models/kelix-nano"),
    "/models/": join(folder, "models"),
    "/images/": join(root, "data/heldout/demo"),
  });
  browser = await launchChromium(SOFTWARE_WEBGPU);
  page = await browser.newPage();
  await page.goto(`http://127.0.0.1:${site.port}/page/index.html`);
  await page.waitForFunction("globalThis.runJob !== undefined");
});
afterAll(async () => {
  await browser?.close();
  await site?.close();
  await rm(site.folder, { recursive: true, force: true });
});

type Result = Awaited<ReturnType<typeof runJob>>;
const ask = (own: object) => page.evaluate(`runJob(${JSON.stringify(own)})`) as Promise<Result>;
const devicesOf = ({ devices }: { readonly devices: readonly NetworkPlace[] }) =>
  new Set(devices.map(({ device }) => device));

describe.each(["int8", "int4"] as const)("a model in %s", (weights) => {
  let folder: string;
  beforeAll(async () => {
    folder = join(site.folder, "models", weights);
    await convertModel("kelix-nano", folder, { weights });
  });

  test("has the logits of Node within 3 % of the largest, and writes the same 20 tokens", async () => {
    const files = folderFiles(folder);
    const { tokenizer } = await loadText(files, platform.templates);
    const ids = tokenizer.encode("<|im_start|>user\nDraw two red circles.<|im_end|>\n<|im_start|>assistant\n");
    const own = await runLanguageModel(files, ids);
    const found = (await page.evaluate(
      `runLanguageModel("/models/${weights}/", ${JSON.stringify(ids)})`,
    )) as typeof own;
    expect(found.written).toHaveLength(20);
    expect(found.written).toEqual(own.written);
    const largest = Math.max(...own.scores.flat().map(Math.abs));
    const worst = Math.max(...own.scores.flatMap((row, t) => row.map((x, i) => Math.abs(x - found.scores[t]![i]!))));
    expect(own.scores).toHaveLength(8);
    expect(worst / largest).toBeLessThan(0.03);
    expect(worst).toBeGreaterThan(0); // Node rounds the inputs of each product, WebAssembly computes in float32
  });

  test("answers what it answers in Node", async () => {
    const { text, devices } = await ask({ ...job, model: `/models/${weights}/` });
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

// SwiftShader computes on the processor, some 70 times slower than WebAssembly.
describe("on WebGPU", { timeout: 1_200_000 }, () => {
  test("text and codes equal WebAssembly's, pixels within two levels", async () => {
    const own = { ...job, prompt: "a red circle", steps: 2 };
    const expected = await ask({ ...own, options: { device: "wasm" } });
    const found = await ask({ ...own, options: { device: "webgpu" } });
    expect([devicesOf(expected), devicesOf(found)]).toEqual([new Set(["wasm"]), new Set(["webgpu"])]);
    expect([found.codes, found.text]).toEqual([expected.codes, expected.text]);
    expect(found.drawn.map(({ codes }) => codes)).toEqual(expected.drawn.map(({ codes }) => codes));
    const pairs = [...expected.drawn, expected.again].map(
      (one, i) => [one, [...found.drawn, found.again][i]!] as const,
    );
    for (const [one, other] of pairs)
      expect(Math.max(...one.data.map((level, i) => Math.abs(level - other.data[i]!)))).toBeLessThanOrEqual(2);
    for (const [i, value] of found.logProbabilities.entries())
      expect(Math.abs(value - expected.logProbabilities[i]!)).toBeLessThan(1e-3);
  });

  test("each network is measured where there seems to be a GPU, and the verdict is kept", async () => {
    await page.evaluate("hideSoftware()");
    const first = await ask({ ...job, steps: 4 });
    const place = (result: Result) => result.devices.find(({ network }) => network.startsWith("velocity"))!;
    expect(place(first)).toMatchObject({ device: "wasm", reason: expect.stringMatching(/^measured: .* on WebGPU/) });
    expect(await ask({ ...job, steps: 4 })).toMatchObject({ text: first.text, again: first.again });
    const again = await ask({ ...job, steps: 1 });
    expect(place(again)).toEqual(place(first)); // to the millisecond: nothing was measured anew
  });
});
