import { mkdir, mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterEach, beforeEach, expect, test } from "vitest";
import { runSchema } from "./config.ts";
import { findInit, resolveLatest } from "./latest.ts";
import { ParameterStore } from "./parameter-store.ts";
import { writeTrainingState } from "./training-state.ts";

let run: string;
beforeEach(async () => {
  run = await mkdtemp(join(tmpdir(), "kelix-latest-"));
});
afterEach(() => rm(run, { recursive: true, force: true }));

const configure = (name: string) =>
  runSchema.parse({
    stage: "diffusion",
    description: "",
    folder: "runs/x",
    steps: 1,
    learningRate: { base: 1 },
    initFrom: ["models/kelix-nano", name],
    model: { autoencoder: { weights: name }, parts: [name] },
  });
const save = async (step: number, averages: boolean) => {
  const parameters = [{ path: "a", shape: [1], init: { kind: "constant", value: 1 } as const }];
  await writeTrainingState(run, step, new ParameterStore(parameters, { averages }));
};

test("names the furthest checkpoint's running average, or its weights where it keeps none", async () => {
  await save(3, true);
  await save(12, true);
  const average = join(run, "checkpoints", "step-12", "average.safetensors");
  const { initFrom, model } = await resolveLatest(configure(`${run}@latest`));
  expect(initFrom).toEqual(["models/kelix-nano", average]);
  expect(model).toEqual({ autoencoder: { weights: average }, parts: [average] });
  await save(13, false);
  expect((await resolveLatest(configure(`${run}@latest`))).initFrom[1]).toMatch(/step-13.model\.safetensors$/);
});

test("finds what a stage starts from: a run's furthest checkpoint, a checkpoint's average, the stage's part of a model", async () => {
  await save(3, true);
  const checkpoint = join(run, "checkpoints", "step-3");
  const average = join(checkpoint, "average.safetensors");
  expect(await findInit(run, "tokenizer")).toBe(average);
  expect(await findInit(`${run}@latest`, "tokenizer")).toBe(average);
  expect(await findInit(checkpoint, "tokenizer")).toBe(average);
  expect(await findInit(average, "tokenizer")).toBe(average);
  const model = join(run, "model");
  await mkdir(join(model, "dit"), { recursive: true });
  expect(await findInit(model, "diffusion")).toBe(join(model, "dit"));
  expect(await findInit(model, "language-model")).toBe(model);
});

test("rejects a run without a checkpoint", async () => {
  await expect(resolveLatest(configure(`${run}@latest`))).rejects.toThrow(/has no checkpoint yet; train it first/);
});
