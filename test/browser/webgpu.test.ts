// WebGPU in Chromium, on its software adapter. Takes many minutes, so it is a part of `npm run test:long`.

import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { devicesOf, type EnginePage, job, openEnginePage, type Result } from "./engine-page.ts";

let engine: EnginePage;
beforeAll(async () => {
  engine = await openEnginePage();
});
afterAll(() => engine?.close());

// SwiftShader computes on the processor, some 70 times slower than WebAssembly.
describe("on WebGPU", { timeout: 1_200_000 }, () => {
  test("text and codes equal WebAssembly's, pixels within two levels", async () => {
    const own = { ...job, prompt: "a red circle", steps: 2 };
    const expected = await engine.ask({ ...own, options: { device: "wasm" } });
    const found = await engine.ask({ ...own, options: { device: "webgpu" } });
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
    await engine.page.evaluate("hideSoftware()");
    const first = await engine.ask({ ...job, steps: 4 });
    const place = (result: Result) => result.devices.find(({ network }) => network.startsWith("velocity"))!;
    expect(place(first)).toMatchObject({ device: "wasm", reason: expect.stringMatching(/^measured: .* on WebGPU/) });
    expect(await engine.ask({ ...job, steps: 4 })).toMatchObject({ text: first.text, again: first.again });
    const again = await engine.ask({ ...job, steps: 1 });
    expect(place(again)).toEqual(place(first)); // to the millisecond: nothing was measured anew
  });
});
