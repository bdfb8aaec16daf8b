// WebGPU in Chromium, on its software adapter, which computes on the processor: kelix-nano takes longer than anyone waits. So a model of
// the same architecture with small random weights runs there. A part of `npm run test:long`.

import { writeFile } from "node:fs/promises";
import { join } from "node:path";
import { afterAll, beforeAll, expect, test } from "vitest";
import { listModelFiles } from "../../src/output/listing.ts";
import { writeTinyModel } from "../tiny-model.ts";
import { devicesOf, type EnginePage, job, openEnginePage, type Result } from "./engine-page.ts";

/** Positions of the image that is drawn: each is a run of the language model. */
const GRID = [1, 2];

let engine: EnginePage;
beforeAll(async () => {
  engine = await openEnginePage();
  const folder = join(engine.models, "tiny");
  await writeTinyModel(folder, 1, ({ generation, ...configs }) => {
    return { ...configs, generation: { ...generation, imagine: { ...(generation.imagine as object), grid: GRID } } };
  });
  await writeFile(join(folder, "files.json"), JSON.stringify(await listModelFiles(folder)));
});
afterAll(() => engine?.close());

const tiny = { ...job, model: "/models/tiny/", prompt: "a red circle", steps: 1, maxNewTokens: 4 };

test("text and codes equal WebAssembly's, pixels within two levels", async () => {
  const expected = await engine.ask({ ...tiny, options: { device: "wasm" } });
  const found = await engine.ask({ ...tiny, options: { device: "webgpu" } });
  expect([devicesOf(expected), devicesOf(found)]).toEqual([new Set(["wasm"]), new Set(["webgpu"])]);
  expect([expected.drewOn, found.drewOn]).toEqual(["wasm", "webgpu"]);
  expect(found.devices.map(({ network }) => network).sort()).toEqual(
    expected.devices.map(({ network }) => network).sort(),
  );
  expect([found.codes, found.text]).toEqual([expected.codes, expected.text]);
  expect(found.drawn.map(({ codes }) => codes)).toEqual(expected.drawn.map(({ codes }) => codes));
  const pairs = [...expected.drawn, expected.again].map((one, i) => [one, [...found.drawn, found.again][i]!] as const);
  for (const [one, other] of pairs)
    expect(Math.max(...one.data.map((level, i) => Math.abs(level - other.data[i]!)))).toBeLessThanOrEqual(2);
  for (const [i, value] of found.logProbabilities.entries())
    expect(Math.abs(value - expected.logProbabilities[i]!)).toBeLessThan(1e-3);
});

test("each network is measured where there seems to be a GPU, and the verdict is kept", async () => {
  await engine.page.evaluate("hideSoftware()");
  const own = { ...tiny, prompt: undefined, steps: 8 };
  const first = await engine.ask(own);
  const place = (result: Result) => result.devices.find(({ network }) => network.startsWith("velocity"))!;
  expect(place(first)).toMatchObject({ device: "wasm", reason: expect.stringMatching(/^measured: .* on WebGPU/) });
  expect(await engine.ask(own)).toMatchObject({ text: first.text, again: first.again });
  const again = await engine.ask({ ...own, steps: 1 });
  expect(place(again)).toEqual(place(first)); // to the millisecond: nothing was measured anew
});
