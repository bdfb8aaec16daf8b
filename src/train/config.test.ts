import { mkdtemp, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, beforeAll, expect, test } from "vitest";
import * as z from "zod";
import { InputError } from "../errors.ts";
import { parseSection, readRunConfig, runSchema } from "./config.ts";
import { startTraining } from "./start.ts";

let folder: string;
let path: string;
beforeAll(async () => {
  folder = await mkdtemp(join(tmpdir(), "kelix-config-"));
  path = join(folder, "run.json");
});
afterAll(() => rm(folder, { recursive: true }));

const good = {
  stage: "autoencoder",
  description: "",
  folder: "runs/x",
  steps: 1,
  learningRate: { base: 1 },
  model: {},
  data: { side: 96, batch: 2, mix: { emoji: 1 } },
};

async function messageFor(config: unknown): Promise<string> {
  await writeFile(path, typeof config === "string" ? config : JSON.stringify(config));
  const error = await readRunConfig(path).catch((error: Error) => error);
  expect(error).toBeInstanceOf(Error);
  const { message } = error as Error;
  expect(message.startsWith(path)).toBe(true);
  return message;
}

test.each([
  ["steps", { ...good, steps: 1e15 }],
  ["threads", { ...good, threads: 1e9 }],
  ["learningRate.base", { ...good, learningRate: { base: 1e308 } }],
  ["folder", { ...good, folder: "a\0b" }],
  ["initFrom", { ...good, initFrom: [""] }],
  ["model", { ...good, model: null }],
])("rejects a config whose %s is out of all bounds, and names it", async (field, config) => {
  expect(await messageFor(config)).toContain(field);
});

test("says which setting was meant by a misspelled one, at every depth", async () => {
  expect(await messageFor({ ...good, log_every: 3 })).toMatch(/for "log_every" did you mean "logEvery"\?/);
  expect(await messageFor({ ...good, learningRate: { base: 1, warmUp: 3 } })).toMatch(/"warmUp" did you mean "warmup"/);
  expect(await messageFor({ ...good, completelyDifferent: 3 })).not.toMatch(/did you mean/);
});

test("finds the package's own configs from anywhere", async () => {
  expect((await readRunConfig("configs/nano/autoencoder.json")).stage).toBe("autoencoder");
  await expect(readRunConfig("configs/../package.json")).rejects.toThrow(/package.json/);
  await expect(readRunConfig(join(folder, "none.json"))).rejects.toThrow(/none.json/);
});

test("names file and field of a stage's own settings", async () => {
  const schema = z.strictObject({ batch: z.int().min(1) });
  const config = runSchema.parse({ ...good, data: { batch: "many" } });
  expect(() => parseSection(schema, config, "data")).toThrow(/^data.*batch/s);
  const run = join(folder, "run");
  await writeFile(path, JSON.stringify({ ...good, folder: run, data: { ...good.data, batch: 1e12 } }));
  const error = await startTraining("autoencoder", path).catch((error: Error) => error);
  expect(error).toBeInstanceOf(InputError);
  expect((error as Error).message).toMatch(new RegExp(`^${path}: data.*batch`, "s"));
});

test("rejects a stage that there is not, and a config of another", async () => {
  await writeFile(path, JSON.stringify(good));
  await expect(startTraining("__proto__", path)).rejects.toThrow(/"__proto__" is not a training stage/);
  await expect(startTraining("tokenizer", path)).rejects.toThrow(/is for the stage autoencoder, not tokenizer/);
});
