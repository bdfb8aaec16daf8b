// `kelix export`: what a run has reached, put together as a model that loads.

import { mkdir, mkdtemp, readFile, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, beforeAll, expect, test } from "vitest";
import { Kelix } from "../src/index.ts";
import { writeSafetensors } from "../src/quantize/safetensors-file.ts";
import { f32, type HostTensor } from "../src/runtime/host-tensor.ts";
import { exportRun } from "../src/train/export.ts";
import { openCheckpointAt } from "../src/train/open-checkpoint.ts";
import { writeTinyModel } from "./tiny-model.ts";

let root: string;
let model: string;
beforeAll(async () => {
  root = await mkdtemp(join(tmpdir(), "kelix-export-"));
  model = await writeTinyModel(join(root, "model"));
});
afterAll(() => rm(root, { recursive: true, force: true }));

const readConfig = async (path: string) => JSON.parse(await readFile(join(model, path, "config.json"), "utf8"));

/** A run's folder that has reached step 4, with `weights` in its checkpoint. */
async function writeRun(stage: string, settings: object, weights: Iterable<[string, HostTensor]>): Promise<string> {
  const run = join(root, `${stage} run`);
  const checkpoint = join(run, "checkpoints", "step-4");
  await mkdir(checkpoint, { recursive: true });
  const config = {
    stage,
    description: "",
    folder: run,
    steps: 4,
    learningRate: { base: 1 },
    data: { tokenizer: model },
  };
  await writeFile(join(run, "config.json"), JSON.stringify({ ...config, model: settings }));
  await writeSafetensors(join(checkpoint, "model.safetensors"), weights);
  return run;
}

async function tensors(folder: string, keep = (_: string) => true): Promise<[string, HostTensor][]> {
  const checkpoint = await openCheckpointAt(folder);
  const found: [string, HostTensor][] = [];
  for (const name of checkpoint.names().filter(keep)) found.push([name, await checkpoint.read(name)]);
  await checkpoint.close();
  return found;
}

test("a language-model run gives a model that describes, with the weights that it reached", async () => {
  const language = await tensors(model, (name) => name.startsWith("model.") || name === "lm_head.weight");
  const moved = language.map(([name, { data, shape }]): [string, HostTensor] => [
    name,
    f32(
      Float32Array.from(data as Float32Array, (value) => 2 * value),
      shape,
    ),
  ]);
  const run = await writeRun("language-model", { config: await readConfig(""), visualTokenizer: model }, moved);
  const out = join(root, "describes");
  await exportRun(run, out);
  const name = "model.model.layers.0.mlp.w1.weight";
  const [[, wanted]] = moved.filter(([each]) => each === name) as [[string, HostTensor]];
  const [[, found]] = (await tensors(out, (each) => each === name)) as [[string, HostTensor]];
  expect(found.data).toEqual(wanted.data); // twice a number of bf16 is one
  const kelix = await Kelix.load(out, { threads: 1 });
  expect(kelix.canImagine).toBe(false);
  const codes = await kelix.tokenize({ width: 96, height: 96, data: new Uint8Array(96 * 96 * 3) });
  expect(codes.codes.length).toBeGreaterThan(0);
  await kelix.dispose();
});

test("a diffusion run gives a whole model, with the runs that its config names", async () => {
  const settings = {
    config: await readConfig("dit"),
    autoencoder: { config: await readConfig("vae"), weights: join(model, "vae") },
    languageModel: { config: await readConfig(""), weights: model },
    visualTokenizer: model,
  };
  const run = await writeRun("diffusion", settings, await tensors(join(model, "dit")));
  const out = join(root, "draws");
  await exportRun(run, out);
  const kelix = await Kelix.load(out, { threads: 1 });
  expect(kelix.canImagine).toBe(true);
  await kelix.dispose();
  await expect(exportRun(run, out)).rejects.toThrow(/already exists/);
});

test("says what is no run, and which run makes no model", async () => {
  await expect(exportRun(model, join(root, "no"))).rejects.toThrow(/config\.json/);
  await expect(exportRun(root, join(root, "no"))).rejects.toThrow(/is not a run's folder/);
  const run = await writeRun("autoencoder", {}, [["a", f32([1], [1])]]);
  await expect(exportRun(run, join(root, "no"))).rejects.toThrow(/export the diffusion run/);
});
