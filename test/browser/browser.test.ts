// The packed package in Chromium: kelix-nano tokenizes, answers and draws on WASM what it does in Node.

import { execFile } from "node:child_process";
import { mkdir, readFile, rm, symlink, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { promisify } from "node:util";
import type { Browser, Page } from "playwright-core";
import sharp, { type Sharp } from "sharp";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { decodeImage } from "../../src/image/codec.node.ts";
import { Kelix, type NetworkPlace } from "../../src/index.ts";
import { launchChromium } from "./chromium.ts";
import { runJob } from "./page/job.js";
import { makeSite, type Site, serve } from "./site.ts";

const octopus = fileURLToPath(new URL("../../data/heldout/demo/octopus.png", import.meta.url));
const question = "What is this?";
const prompt = "a red circle";

interface Pixels {
  readonly width: number;
  readonly data: readonly number[];
}
interface Result {
  readonly fetched: number;
  readonly devices: readonly NetworkPlace[];
  readonly codes: unknown;
  readonly text: string;
  readonly drawn: readonly Pixels[];
  readonly again: Pixels;
  readonly png: unknown;
  readonly logProbabilities: readonly number[];
}
interface Answer {
  readonly result?: Result;
  readonly error?: { readonly name: string; readonly code: string; readonly message: string };
}

let site: Site;
let browser: Browser;
/** Of Node on its native library, and on the same WebAssembly. */
let native: Result;
let expected: Result;
beforeAll(async () => {
  site = await makeSite();
  await writeFile(join(site.folder, "images/octopus.png"), await readFile(octopus));
  browser = await launchChromium(["--host-resolver-rules=MAP kelix.test 127.0.0.1"]);
  const own = { model: "kelix-nano", image: octopus, question, prompt };
  native = await runJob(Kelix, own);
  expected = await runJob(Kelix, { ...own, options: { device: "wasm" } });
});
afterAll(async () => {
  await browser?.close();
  await site?.close();
  await rm(site.folder, { recursive: true, force: true });
});

async function open(path: string, host = "127.0.0.1"): Promise<Page> {
  const page = await (await browser.newContext()).newPage();
  await page.goto(`http://${host}:${site.port}${path}/index.html`);
  await page.waitForFunction("globalThis.run !== undefined");
  return page;
}

const ask = (page: Page, job: object) =>
  page.evaluate((own) => (globalThis as unknown as { run(job: object): Promise<Answer> }).run(own), job);

test("Node on WebAssembly and natively: the same codes and text, pixels within one level", () => {
  expect([expected.codes, expected.text]).toEqual([native.codes, native.text]);
  const pairs = [...expected.drawn, expected.again].map(
    (own, i) => [own, [...native.drawn, native.again][i]!] as const,
  );
  for (const [own, other] of pairs)
    expect(Math.max(...own.data.map((level, i) => Math.abs(level - other.data[i]!)))).toBeLessThanOrEqual(1);
});

/** The whole of what a job gives, but drawing where there is no prompt. */
function expectSame({ result, error }: Answer, { hasDrawn = true } = {}): void {
  expect(error).toBeUndefined();
  const { logProbabilities, drawn, fetched, devices, ...exact } = result!;
  expect(new Set(devices.map(({ device }) => device))).toEqual(new Set(["wasm"]));
  expect(exact.codes).toEqual(expected.codes);
  expect(exact.text).toBe(expected.text);
  expect(drawn).toEqual(hasDrawn ? expected.drawn : []);
  expect(exact.again).toEqual(expected.again);
  expect(exact.png).toEqual(expected.again); // decoded again from its PNG
  expect(logProbabilities).toHaveLength(expected.logProbabilities.length);
  for (const [i, value] of logProbabilities.entries())
    expect(Math.abs(value - native.logProbabilities[i]!)).toBeLessThan(1e-4);
}

const job = (path = "") => ({ model: `${path}/model/`, image: `${path}/images/octopus.png`, question });

describe.each(["vite", "esbuild"])("bundled with %s", (bundler) => {
  test("gives the codes, text and pixels of Node, and fetches the model once", async () => {
    const page = await open(`/${bundler}`);
    site.asked.length = 0;
    const first = await ask(page, { ...job(), prompt });
    expectSame(first);
    expect(first.result!.fetched).toBeGreaterThan(1e6);
    const weights = () => site.asked.filter((path) => path.endsWith(".safetensors")).length;
    expect(weights()).toBe(3);
    expectSame(await ask(page, job()), { hasDrawn: false });
    expect(weights()).toBe(3);
    await page.context().close();
  });
});

test("runs in two threads where the page says where ONNX Runtime's files are", async () => {
  const page = await open("/vite");
  const answer = await ask(page, { ...job(), hasWasmPaths: true, options: { threads: 2 } });
  expectSame(answer, { hasDrawn: false });
  await page.context().close();
});

test("threads that do not start end in a sentence", async () => {
  // What a bundle can make of the glue: a module that never comes to an end.
  await writeFile(join(site.folder, "images/stuck.mjs"), "export default () => new Promise(() => {});");
  const page = await open("/esbuild");
  const wasmPaths = { mjs: "/images/stuck.mjs", wasm: "/esbuild/ort-wasm-simd-threaded.wasm" };
  const { error } = await ask(page, { ...job(), options: { threads: 2, wasmPaths } });
  expect(error).toMatchObject({
    code: "device_unavailable",
    message: expect.stringMatching(/did not start within 15 s.*wasmPaths/),
  });
  await page.context().close();
});

test("without isolation or a secure origin it runs in one thread, and without a cache", async () => {
  const page = await open("/plain/vite", "kelix.test");
  expect(await page.evaluate("[isSecureContext, crossOriginIsolated]")).toEqual([false, false]);
  expectSame(await ask(page, { ...job("/plain"), options: { threads: 2 } }), { hasDrawn: false });
  await page.context().close();
});

test("loads a list of files, and a repository of the Hub", async () => {
  const page = await open("/vite");
  const listing = JSON.parse(await readFile("models/kelix-nano/files.json", "utf8")) as {
    files: { path: string; bytes: number; sha256: string }[];
  };
  const files = listing.files.map(({ path }) => ({ path, url: `/model/${path}` }));
  expectSame(await ask(page, { ...job(), model: undefined, files }), { hasDrawn: false });
  const hub: string[] = [];
  await page.context().route("https://huggingface.co/**", async (route) => {
    const { pathname } = new URL(route.request().url());
    hub.push(pathname);
    const headers = { "Access-Control-Allow-Origin": "*", "Cross-Origin-Resource-Policy": "cross-origin" };
    if (pathname === "/api/models/owner/nano/revision/main") {
      const siblings = listing.files.map(({ path, bytes, sha256 }) => ({
        rfilename: path,
        size: bytes,
        ...(path.endsWith(".safetensors") && { lfs: { sha256 } }),
      }));
      return route.fulfill({ json: { sha: "c0ffee", siblings }, headers });
    }
    return route.fulfill({ path: `models/kelix-nano/${pathname.split("/c0ffee/")[1]}`, headers });
  });
  expectSame(await ask(page, { ...job(), model: "owner/nano" }), { hasDrawn: false });
  expect(hub).toContain("/owner/nano/resolve/c0ffee/tokenizer.json");
  await page.context().close();
});

test("says in a sentence what is not there", async () => {
  const page = await open("/vite");
  const message = async (model: unknown) => (await ask(page, { ...job(), model })).error?.message;
  expect(await message("/images/")).toMatch(/has no files\.json/);
  expect(await message(undefined)).toMatch(/A browser has no built-in models/);
  expect(await message("http://127.0.0.1:1/")).toMatch(/no answer, or one that this page may not read/);
  await page.context().close();
});

test("the example of docs/browser.md, in a Vite project of its own", async () => {
  const folder = join(site.folder, "example");
  const text = await readFile("docs/browser.md", "utf8");
  const files = [...text.matchAll(/^```\w+\n(?:<!--|\/\/) ([\w.]+)(?: -->)?\n(.*?)^```$/gms)];
  expect(files.map(([, name]) => name)).toEqual(["index.html", "main.js", "worker.js", "vite.config.js"]);
  expect(files.flatMap(([text]) => text.split("\n").slice(1, -1)).length).toBeLessThanOrEqual(20);
  await mkdir(folder);
  for (const [, name, code] of files) await writeFile(join(folder, name!), code!);
  await writeFile(join(folder, "package.json"), '{ "type": "module" }');
  await symlink(join(site.folder, "node_modules"), join(folder, "node_modules"));
  await symlink(join(site.folder, "node_modules/kelix/models"), join(folder, "public"));
  await promisify(execFile)(
    process.execPath,
    [fileURLToPath(new URL("bin/vite.js", import.meta.resolve("vite/package.json"))), "build"],
    {
      cwd: folder,
    },
  );
  const example = await serve(join(folder, "dist"), { "/": join(folder, "dist") });
  const page = await (await browser.newContext()).newPage();
  await page.goto(`http://127.0.0.1:${example.port}/index.html`);
  await page.locator("input").setInputFiles(octopus);
  await page.getByText(native.text, { exact: true }).waitFor({ timeout: 120_000 });
  await page.context().close();
  await example.close();
});

describe("images decode to the pixels of Node", () => {
  let page: Page;
  beforeAll(async () => {
    page = await open("/esbuild");
    await page.addScriptTag({ type: "module", url: "/esbuild/decode.js" });
    await page.waitForFunction("globalThis.decode !== undefined");
  });
  afterAll(() => page?.context().close());

  const noise = (channels: 1 | 3 | 4) =>
    sharp(
      Uint8Array.from({ length: 60 * 40 * channels }, (_, i) => (Math.imul(i ^ (i >> 5), 2654435761) >>> 13) & 255),
      {
        raw: { width: 60, height: 40, channels },
      },
    );
  const photo = () => sharp(octopus).resize(90, 70, { fit: "fill" });
  const cases: readonly [string, () => Sharp][] = [
    ["PNG with every alpha", () => noise(4).png()],
    ["grey PNG", () => noise(1).toColourspace("b-w").png()],
    ["PNG with a palette", () => photo().png({ palette: true, colours: 16 })],
    ["PNG of 16-bit grey", () => noise(1).toColourspace("grey16").png({ adaptiveFiltering: true })],
    ["PNG of 16 bits", () => noise(3).toColourspace("rgb16").png()],
    ["JPEG with halved colours", () => noise(3).jpeg({ quality: 85, chromaSubsampling: "4:2:0" })],
    ["JPEG with whole colours", () => photo().jpeg({ quality: 95, chromaSubsampling: "4:4:4" })],
    ["grey JPEG", () => noise(1).toColourspace("b-w").jpeg()],
    ["progressive JPEG", () => photo().jpeg({ progressive: true })],
    ["JPEG with a P3 profile", () => photo().withIccProfile("p3").jpeg()],
    ["JPEG turned by EXIF", () => photo().withMetadata({ orientation: 6 }).jpeg()],
    ["PNG turned by EXIF", () => photo().withMetadata({ orientation: 6 }).png()],
    ...[2, 3, 4, 5, 6, 7, 8].map((orientation): [string, () => Sharp] => [
      `WebP turned by EXIF ${orientation}`,
      () => photo().withMetadata({ orientation }).webp(),
    ]),
    ["WebP", () => noise(3).webp({ quality: 80 })],
    ["lossless WebP with alpha", () => noise(4).webp({ lossless: true })],
  ];

  test.each(cases)("%s", async (_, make) => {
    const bytes = new Uint8Array(await make().toBuffer());
    await writeFile(join(site.folder, "images/case"), bytes);
    const { width, height, data } = await decodeImage(bytes);
    const found = (await page.evaluate(`decode("/images/case?${Math.random()}")`)) as { data: number[] };
    expect(found).toMatchObject({ width, height, isLossless: true });
    const worst = data.reduce((most, value, i) => Math.max(most, Math.abs(value - found.data[i]!)), 0);
    expect(worst).toBe(0);
  });

  test("or are rejected with a reason: CMYK, interlaced 16-bit grey, too many pixels, cut files", async () => {
    const refusal = async (bytes: Uint8Array) => {
      await writeFile(join(site.folder, "images/case"), bytes);
      return ((await page.evaluate(`decode("/images/case?${Math.random()}")`)) as { error?: string }).error;
    };
    expect(await refusal(await noise(3).toColourspace("cmyk").jpeg().toBuffer())).toMatch(/a JPEG in CMYK/);
    const interlaced = noise(1).toColourspace("grey16").png({ progressive: true });
    expect(await refusal(await interlaced.toBuffer())).toMatch(/a PNG of 16-bit grey that is interlaced/);
    const huge = new Uint8Array(await photo().png().toBuffer());
    new DataView(huge.buffer).setUint32(16, 100_000);
    new DataView(huge.buffer).setUint32(20, 100_000);
    expect(await refusal(huge)).toMatch(/100000 x 100000 pixels, at most 40 million/);
    const jpeg = new Uint8Array(await photo().jpeg().toBuffer());
    expect(await refusal(jpeg.slice(0, 30))).toMatch(/cannot be decoded/);
  });
});
