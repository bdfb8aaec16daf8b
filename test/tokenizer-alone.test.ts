// A folder that holds an image tokenizer alone (KeyeTokenizerConfig), as the reference's script for codes alone loads it.

import { copyFile, mkdir, mkdtemp, readdir, readFile, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, beforeAll, expect, test } from "vitest";
import { inspectModel, Kelix, ModelError, planModel } from "../src/index.ts";
import { convertModel } from "../src/quantize/convert.ts";
import { readSafetensors, writeSafetensors } from "../src/quantize/safetensors-file.ts";
import type { HostTensor } from "../src/runtime/host-tensor.ts";

const whole = "test/released/gqa8/model";
const image = "test/released/gqa8/images/grey.png";
const parts = { detokenizer: join(whole, "aedit"), autoencoder: join(whole, "vae") };
const PREFIX = "visual_tokenizer.";

let root: string;
let folder: string;
beforeAll(async () => {
  root = await mkdtemp(join(tmpdir(), "kelix-tokenizer-"));
  folder = join(root, "tokenizer");
  await mkdir(folder);
  const { tokenizer_config } = JSON.parse(await readFile(join(whole, "config.json"), "utf8"));
  const config = { ...tokenizer_config, __class__: "KeyeTokenizerConfig" };
  await writeFile(join(folder, "config.json"), JSON.stringify(config));
  await copyFile(join(whole, "preprocessor_config.json"), join(folder, "preprocessor_config.json"));
  const tensors: [string, HostTensor][] = [];
  for (const file of (await readdir(whole)).filter((name) => name.endsWith(".safetensors"))) {
    for (const [name, tensor] of await readSafetensors(join(whole, file))) {
      if (name.startsWith(PREFIX)) tensors.push([name.slice(PREFIX.length), tensor]);
    }
  }
  await writeSafetensors(join(folder, "model.safetensors"), tensors);
});
afterAll(() => rm(root, { recursive: true, force: true }));

test("tokenizes and reconstructs as the whole model does", async () => {
  const [alone, all] = [await Kelix.load(folder, { threads: 1, ...parts }), await Kelix.load(whole, { threads: 1 })];
  const codes = await alone.tokenize(image);
  expect([...codes.codes]).toEqual([...(await all.tokenize(image)).codes]);
  const drawn = await alone.reconstruct(codes, { steps: 1, seed: 3 });
  expect(drawn.data).toEqual((await all.reconstruct(codes, { steps: 1, seed: 3 })).data);
  expect(alone.canImagine).toBe(false);
  await Promise.all([alone.dispose(), all.dispose()]);
});

test("says what is missing of what it cannot do", async () => {
  const kelix = await Kelix.load(folder, { threads: 1, ...parts });
  const missing = {
    code: "missing_part",
    message: expect.stringMatching(/image tokenizer alone .* no language model/),
  };
  const answer = async () => {
    for await (const _ of kelix.chat([{ role: "user", content: "hello" }]));
  };
  await expect(answer()).rejects.toMatchObject(missing);
  await expect(kelix.imagine("a square")).rejects.toMatchObject(missing);
  await kelix.dispose();
  await expect(convertModel(folder, join(root, "int8"), { weights: "int8" })).rejects.toMatchObject(missing);
  await expect(planModel(folder, machine)).rejects.toMatchObject(missing);
  const bare = await Kelix.load(folder, { threads: 1 });
  await expect(bare.reconstruct(image)).rejects.toThrow(/--dit FOLDER/);
  await bare.dispose();
});

const machine = {
  cores: 1,
  memory: { totalBytes: 8e9, availableBytes: 8e9 },
  speeds: { flopPerS: 1e11, readBytesPerS: 1e10, quantizedBytesPerS: 1e10, quantizedFlopPerS: 1e11 },
};

test("is described by what it has", async () => {
  const info = await inspectModel(folder, parts);
  expect(info).toMatchObject({ faults: [], codebooks: 8, codesPerBook: 32, vocabulary: 0 });
  expect(info.parts.map(({ part }) => part)).toEqual(["vision", "codesTransformer", "autoencoder"]);
  expect(info.memory.answerBytes).toBeUndefined();
  expect(info.memory.tokenizeBytes).toBeGreaterThan(info.parts[0]!.sizeBytes);
});

test("whose weights lack one is told so", async () => {
  const cut = join(root, "cut");
  await mkdir(cut);
  await copyFile(join(folder, "config.json"), join(cut, "config.json"));
  const tensors = [...(await readSafetensors(join(folder, "model.safetensors")))];
  await writeSafetensors(join(cut, "model.safetensors"), tensors.slice(1));
  await expect(Kelix.load(cut)).rejects.toThrow(ModelError);
  await expect(Kelix.load(cut)).rejects.toThrow(`1 missing: ${PREFIX}${tensors[0]![0]}`);
});
