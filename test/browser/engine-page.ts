// A page in Chromium with the engine, bundled from the sources; models and images are served beside it.

import { mkdir, mkdtemp, readFile, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { build } from "esbuild";
import type { Page } from "playwright-core";
import type { NetworkPlace } from "../../src/index.ts";
import { launchChromium, SOFTWARE_WEBGPU } from "./chromium.ts";
import type { runJob } from "./page/job.js";
import { serve } from "./site.ts";

const root = fileURLToPath(new URL("../..", import.meta.url));
export const octopus = join(root, "data/heldout/demo/octopus.png");
export const job = { model: "/model/", image: "/images/octopus.png", question: "What is this?" };

export type Result = Awaited<ReturnType<typeof runJob>>;

export interface EnginePage {
  readonly page: Page;
  /** What lies in it is served below /models/. */
  readonly models: string;
  readonly ask: (own: object) => Promise<Result>;
  readonly close: () => Promise<void>;
}

export async function openEnginePage(): Promise<EnginePage> {
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
  const models = join(folder, "models");
  await mkdir(models);
  const site = await serve(folder, {
    "/page/": out,
    "/model/": join(root, "models/kelix-nano"),
    "/models/": models,
    "/images/": join(root, "data/heldout/demo"),
  });
  const browser = await launchChromium(SOFTWARE_WEBGPU);
  const page = await browser.newPage();
  await page.goto(`http://127.0.0.1:${site.port}/page/index.html`);
  await page.waitForFunction("globalThis.runJob !== undefined");
  return {
    page,
    models,
    ask: (own) => page.evaluate(`runJob(${JSON.stringify(own)})`) as Promise<Result>,
    async close() {
      await browser.close();
      await site.close();
      await rm(folder, { recursive: true, force: true });
    },
  };
}

export function devicesOf({ devices }: { readonly devices: readonly NetworkPlace[] }): Set<string> {
  return new Set(devices.map(({ device }) => device));
}
