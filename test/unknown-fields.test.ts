// A field that a later version may write into any of a model's configs is skipped with one warning that names it.

import { copyFile, mkdtemp, readFile, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, beforeAll, expect, test } from "vitest";
import { inspectModel, Kelix, planModel } from "../src/index.ts";
import { writeTinyModel } from "./tiny-model.ts";

let root: string;
let folder: string;
beforeAll(async () => {
  root = await mkdtemp(join(tmpdir(), "kelix-unknown-"));
  folder = await writeTinyModel(join(root, "model"));
});
afterAll(() => rm(root, { recursive: true, force: true }));

/** Changes one of the model's configs for the time of `use`. */
async function withConfig<T>(file: string, change: (json: never) => void, use: () => Promise<T>): Promise<T> {
  const path = join(folder, file);
  await copyFile(path, `${path}.kept`);
  const json = JSON.parse(await readFile(path, "utf8")) as never;
  change(json);
  await writeFile(path, JSON.stringify(json));
  try {
    return await use();
  } finally {
    await copyFile(`${path}.kept`, path);
  }
}

async function warningsOfLoading(): Promise<string[]> {
  const warnings: string[] = [];
  const onWarning = (message: string) => {
    if (!message.includes("lm_head")) warnings.push(message); // two output matrices, each drawn at random
  };
  const kelix = await Kelix.load(folder, { threads: 1, onWarning });
  expect(kelix.info().unknownFields.length > 0).toBe(warnings.length > 0);
  await kelix.dispose();
  return warnings;
}

const machine = {
  cores: 1,
  memory: { totalBytes: 8e9, availableBytes: 8e9 },
  speeds: { flopPerS: 1e11, readBytesPerS: 1e10, quantizedBytesPerS: 1e10, quantizedFlopPerS: 1e11 },
};

type Json = Record<string, Record<string, Record<string, unknown>>>;
const places: [file: string, change: (json: Json) => void, name: string][] = [
  ["config.json", (json) => Object.assign(json, { later: 1 }), "later"],
  ["config.json", ({ qwen_config }) => Object.assign(qwen_config!, { later: 1 }), "qwen_config.later"],
  ["config.json", (json) => Object.assign(json.tokenizer_config!, { later: 1 }), "tokenizer_config.later"],
  [
    "config.json",
    (json) => Object.assign(json.tokenizer_config!.vision_config!, { later: 1 }),
    "tokenizer_config.vision_config.later",
  ],
  ["config.json", (json) => Object.assign(json.token_decoder_config!, { later: 1 }), "token_decoder_config.later"],
  ["dit/config.json", (json) => Object.assign(json, { later: 1 }), "later"],
  ["vae/config.json", (json) => Object.assign(json, { later: 1 }), "later"],
  ["preprocessor_config.json", (json) => Object.assign(json, { later: 1 }), "later"],
  ["generation_config.json", (json) => Object.assign(json, { later: 1 }), "later"],
  ["generation_config.json", (json) => Object.assign(json.imagine!, { later: 1 }), "imagine.later"],
];

test.each(places)("%s: %s %s", async (file, change, name) => {
  await withConfig(file, change, async () => {
    expect(await warningsOfLoading()).toEqual([
      `${folder}: a field of its configs that this version does not know was skipped: ${file}: ${name}`,
    ]);
    expect((await inspectModel(folder)).unknownFields).toEqual([`${file}: ${name}`]);
    expect((await planModel(folder, machine)).unknownFields).toEqual([`${file}: ${name}`]);
  });
});

test("many are one warning of bounded length", async () => {
  const change = (json: Json) => {
    for (let i = 0; i < 900; i++) Object.assign(json.qwen_config!, { [`later_${i}_${"x".repeat(300)}`]: i });
  };
  const [warning, ...others] = await withConfig("config.json", change, warningsOfLoading);
  expect(others).toEqual([]);
  expect(warning).toMatch(/: 900 fields of its configs .* and 890 more$/);
  expect(warning!.length).toBeLessThan(3000);
});

test("none are no warning", async () => {
  expect(await warningsOfLoading()).toEqual([]);
});

test("a known field with a value that is not supported is an error of its own code", async () => {
  const change = (json: Json) => Object.assign(json.tokenizer_config!, { vq_sampling_mode: "softmax" });
  await withConfig("config.json", change, async () => {
    await expect(Kelix.load(folder)).rejects.toMatchObject({
      code: "unsupported_model",
      message: `${folder}/config.json: tokenizer_config.vq_sampling_mode is "softmax", which is not supported: only "argmin"`,
    });
  });
});
