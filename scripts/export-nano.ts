// Puts the trained parts of kelix-nano together as a model folder: bf16 weights under the reference's names and configs.
// Run after the four stages: npx tsx --conditions=kelix-source scripts/export-nano.ts [OUT]

import { mkdir, readFile, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { f32ToBf16 } from "../src/checkpoint/bfloat16.ts";
import type { Checkpoint } from "../src/checkpoint/checkpoint.ts";
import { writeSafetensors } from "../src/checkpoint/safetensors.node.ts";
import { f32, type HostTensor, hostTensor } from "../src/runtime/host-tensor.ts";
import { openLayers } from "../src/train/layers.ts";
import { latestCheckpoint } from "../src/train/training-state.ts";

const out = process.argv[2] ?? "models/kelix-nano";
const config = JSON.parse(await readFile("configs/nano/diffusion.json", "utf8")).model as {
  config: Record<string, unknown>;
  autoencoder: { config: Record<string, unknown>; weights: string };
  languageModel: {
    config: { token_decoder_config: { d_model: number } } & Record<string, unknown>;
    weights: string | string[];
  };
  visualTokenizer: string | string[];
};
const diffusion = process.env.KELIX_DIT ?? "runs/nano/diffusion";

type Tensors = Map<string, HostTensor>;

const round = ({ data, shape }: HostTensor) => hostTensor("bf16", f32ToBf16(data as Float32Array), shape);

async function collect(source: string | string[], keep: (name: string) => boolean): Promise<Tensors> {
  const checkpoint: Checkpoint = await openLayers(source);
  const tensors: Tensors = new Map();
  for (const name of checkpoint.names().filter(keep)) tensors.set(name, round(await checkpoint.read(name)));
  await checkpoint.close();
  return tensors;
}

async function write(folder: string, file: string, tensors: Tensors, json: object): Promise<void> {
  await mkdir(join(out, folder), { recursive: true });
  await writeSafetensors(join(out, folder, file), tensors, { format: "pt" });
  await writeFile(join(out, folder, "config.json"), `${JSON.stringify(json, null, 2)}\n`);
  console.error(`${join(out, folder, file)}: ${tensors.size} tensors`);
}

const tokenizer = await collect(config.visualTokenizer, (name) => name.startsWith("visual_tokenizer."));
const language = await collect(
  config.languageModel.weights,
  (name) => name.startsWith("model.") || name === "lm_head.weight",
);
// One output matrix, saved under the names that the reference's generation and training read.
language.set("model.model.output.weight", language.get("lm_head.weight")!);
// Never read by anyone, but part of the reference's class.
const d = config.languageModel.config.token_decoder_config.d_model;
language.set("model.model.token_head.final_norm.weight", round(f32(new Float32Array(d).fill(1), [d])));
language.set("model.model.token_head.final_norm.bias", round(f32(new Float32Array(d), [d])));
await write("", "model.safetensors", new Map([...tokenizer, ...language]), config.languageModel.config);

const last = await latestCheckpoint(diffusion);
if (!last) throw new Error(`${diffusion} has no checkpoint`);
const transformer = await collect(`${last.folder}/average.safetensors`, () => true);
await write("dit", "model.safetensors", transformer, config.config);
await write(
  "vae",
  "diffusion_pytorch_model.safetensors",
  await collect(config.autoencoder.weights, () => true),
  config.autoencoder.config,
);
