import { expect, test } from "vitest";
import { type RunConfig, runSchema } from "./config.ts";
import { compareSettings } from "./run-changes.ts";

const base = {
  stage: "tokenizer",
  description: "a toy",
  folder: "runs/toy",
  seed: 5,
  steps: 12,
  learningRate: { base: 0.05 },
  ema: 0.9,
  data: { batch: 4, cache: "here" },
  model: { weights: { text: 1 } },
};
const config = (extra: object = {}): RunConfig => runSchema.parse({ ...base, ...extra });

test.each<[string, object]>([
  ["stage", { stage: "diffusion" }],
  ["seed", { seed: 6 }],
  ["accumulate", { accumulate: 2 }],
  ["train.0", { train: ["visual"] }],
  ["initFrom.0", { initFrom: ["models/other"] }],
  ["data.batch", { data: { batch: 5 } }],
  ["data.scenes", { data: { batch: 4, scenes: 0.5 } }],
  ["model.weights.text", { model: { weights: { text: 2 } } }],
  ["ema", { ema: undefined }],
])("rejects to go on with another %s, unless that is accepted", (field, extra) => {
  const name = field.replace(/\.0$/, "");
  expect(() => compareSettings(config(), config(extra))).toThrow(`with ${name} `);
  expect(compareSettings(config(), config(extra), true).join()).toContain(`${name} was `);
});

test("lets pass what does not change what is trained, and tells of what was tuned", () => {
  const free = { folder: "elsewhere", threads: 2, logEvery: 3, checkpointEvery: 4, sampleEvery: 5, description: "b" };
  expect(compareSettings(config(), config({ ...free, data: { batch: 4, cache: "there" } }))).toEqual([]);
  const tuned = { steps: 20, learningRate: { base: 0.01 }, optimizer: { clipNorm: 1 }, ema: 0.99 };
  expect(compareSettings(config(), config(tuned))).toEqual([
    "steps was 12 and is now 20",
    "learningRate.base was 0.05 and is now 0.01",
    "optimizer.clipNorm was absent and is now 1",
    "ema was 0.9 and is now 0.99",
  ]);
});
