// The dress rehearsal at small sizes, as its program: every part runs, and nothing is left on the disk.

import { spawn } from "node:child_process";
import { mkdtemp, readdir, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { afterAll, beforeAll, expect, test } from "vitest";
import { releasedSizes } from "../../tools/rehearsal/configs.ts";
import type { Rehearsal } from "../../tools/rehearsal/rehearse.ts";
import { modelBytes } from "../../tools/rehearsal/write-model.ts";

const program = fileURLToPath(new URL("../../tools/rehearsal/main.ts", import.meta.url));
const typescript = ["--conditions=kelix-source", "--import", import.meta.resolve("tsx")];

let folder: string;
beforeAll(async () => {
  folder = await mkdtemp(join(tmpdir(), "kelix-rehearsal-test-"));
});
afterAll(() => rm(folder, { recursive: true, force: true }));

/** Runs the program; `onNews` sees what it says while it runs. */
function rehearse(onNews: (text: string, interrupt: () => void) => void = () => {}) {
  return new Promise<{ status: number | null; out: string; err: string }>((resolve) => {
    const child = spawn(process.execPath, [...typescript, program, "--small", "--json", "--dir", folder]);
    let [out, err] = ["", ""];
    child.stdout.on("data", (text) => {
      out += text;
    });
    child.stderr.on("data", (text) => {
      err += text;
      onNews(err, () => child.kill("SIGINT"));
    });
    child.on("close", (status) => resolve({ status, out, err }));
  });
}

test("writes, converts, answers, begins an image and draws, and tells the time and memory of each", async () => {
  const { status, out, err } = await rehearse();
  expect(err).toMatch(/writes a model of 0\.01 GB and a converted copy of 0\.01 GB into .* GB are free\n/);
  expect(status).toBe(0);
  const { parts } = JSON.parse(out) as Rehearsal;
  expect(parts.map(({ name }) => name)).toEqual([
    "write",
    "convert",
    "answer",
    "begin an image",
    "draw",
    "draw at half the side",
    "draw from 16 bits",
    "answer from 16 bits, cold",
    "answer from 16 bits, warm",
  ]);
  for (const { seconds, peakBytes } of parts) {
    expect(seconds).toBeGreaterThan(0);
    expect(peakBytes).toBeGreaterThan(30e6);
    expect(peakBytes).toBeLessThan(1e9);
  }
  const [, , answer, image, drawing, smaller, asItLies] = parts;
  expect(answer!.details.firstTokenS).toBeGreaterThan(0);
  expect(image!.details.blocks).toBe(8);
  expect([drawing, smaller, asItLies].map((part) => part!.details.pixels)).toEqual([128, 64, 128]);
  expect(await readdir(folder)).toEqual([]);
});

test("removes what it has written when it is interrupted", async () => {
  let isInterrupted = false;
  const { status, out } = await rehearse((err, interrupt) => {
    if (isInterrupted || !err.includes("writing the model into")) return;
    isInterrupted = true; // once: later it would meet the process on its way out
    interrupt();
  });
  expect(status).toBe(130);
  expect(out).toBe("");
  expect(await readdir(folder)).toEqual([]);
});

test("the released sizes are those of the published files: 24.6 GB, the transformer's 1.62 G and the autoencoder's 0.31 G weights", () => {
  const autoregressive = 12_306_540_912;
  expect((2 * autoregressive) / 1e9).toBeCloseTo(24.6, 1);
  expect(modelBytes(releasedSizes)).toBe(2 * (autoregressive + 1_621_053_344 + 312_250_275));
});
