// A model folder as the reference's recipes load it: weights under the reference's names in its shards, with every tensor that its classes
// have, and configs without fields that its strict reader would reject.

import { copyFile, writeFile } from "node:fs/promises";
import { join } from "node:path";
import type { Checkpoint } from "../checkpoint/checkpoint.ts";
import { readJson } from "../checkpoint/json-file.ts";
import { InputError } from "../errors.ts";
import { folderFiles } from "../files/folder.node.ts";
import { makeFolder } from "../hub/make-folder.ts";
import type { KeyeArConfig } from "../llm/config.ts";
import { openModelAt, resolveModel } from "../model/find.node.ts";
import { languageConfig, type ModelPart, type OpenedModel } from "../model/open.ts";
import { createFolder, refuseExisting } from "../quantize/atomic-folder.ts";
import type { TensorShape } from "../quantize/safetensors-layout.ts";
import { ShardedWriter } from "../quantize/sharded-writer.ts";
import { f32ToBf16 } from "../quantize/to-bfloat16.ts";
import { countElements } from "../runtime/host-tensor.ts";
import { positionTableSide } from "../vision/config.ts";
import { knownFields, referenceFields } from "./reference-fields.ts";

/** What the weights are written as. */
export const exportPrecisions = ["bf16", "f32"] as const;

export interface ExportModelOptions {
  /** bf16 is what the reference's recipes compute in; f32 keeps trained weights to the last digit. */
  readonly precision?: (typeof exportPrecisions)[number];
  readonly maxShardBytes?: number;
  readonly log?: (line: string) => void;
}

const OUTPUTS = ["model.model.output.weight", "lm_head.weight"] as const;
const VISUAL = "visual_tokenizer.visual.embeddings";
const PACKING_ROWS = 32_768;

/** A tensor that a model may lack: what it holds then. */
interface Absent {
  readonly shape: readonly number[];
  /** One number, or what another tensor holds. */
  readonly value: number | { readonly of: string };
}

/** Tensors of the reference's classes that nobody reads, and its second output matrix. */
function absentTensors({ weights }: OpenedModel, ar: KeyeArConfig): Map<string, Absent> {
  const { tokenizer_config: tokenizer, token_decoder_config: head, qwen_config: qwen } = ar;
  const { hidden_size: width } = tokenizer.vision_config;
  const rows = qwen.vocab_size + qwen.codebook_size;
  const [output, other] = OUTPUTS;
  const possible: [string, Absent][] = [
    [`${VISUAL}.packing_position_embedding.weight`, { shape: [PACKING_ROWS, width], value: 0 }],
    [
      `${VISUAL}.position_embedding.weight`,
      { shape: [positionTableSide(tokenizer.vision_config) ** 2, width], value: 0 },
    ],
    ["model.model.token_head.final_norm.weight", { shape: [head.d_model], value: 1 }],
    ["model.model.token_head.final_norm.bias", { shape: [head.d_model], value: 0 }],
    [output, { shape: [rows, qwen.embed_dim], value: { of: other } }],
    [other, { shape: [rows, qwen.embed_dim], value: { of: output } }],
    ...Array.from({ length: tokenizer.n_q_tokens }, (_, i): [string, Absent] => [
      `visual_tokenizer.up_projectors.${i}.weight`,
      { shape: [tokenizer.output_dim, tokenizer.embedding_dim], value: 0 },
    ]),
  ];
  return new Map(possible.filter(([name]) => !weights.find(name)));
}

const textFiles = [
  "tokenizer.json",
  "tokenizer_config.json",
  "chat_template.jinja",
  "chat_template.json",
  "preprocessor_config.json",
  "generation_config.json",
] as const;

/**
 * Writes the model `name` as the new folder `out`, which appears whole or not at all. Weights at lower precision are widened. Throws an
 * InputError where `out` exists, a ModelError for what is no whole model.
 */
export async function exportModel(name: string, out: string, options: ExportModelOptions = {}): Promise<void> {
  const { log = () => {} } = options;
  await refuseExisting(out);
  const root = await resolveModel(name);
  const model = await openModelAt(root);
  try {
    const ar = languageConfig(model);
    await createFolder(out, async (folder) => {
      const config = (await readJson(folderFiles(root), "config.json")) as Record<string, unknown>;
      // What our defaults are for fields that the file leaves out is said: the reference's own may differ.
      const stated = merge(knownFields(ar, referenceFields.ar), config);
      await writeConfig(folder, "", knownFields(stated, referenceFields.ar));
      await writeWeights(folder, "model", model.weights, options, absentTensors(model, ar));
      const transformers = [...new Set([model.detokenizer.hidden, model.detokenizer.codes])].filter((part) => !!part);
      for (const part of transformers) await copyPart(folder, root, part, "model", options, referenceFields.dit);
      const { autoencoder } = model.detokenizer;
      if (autoencoder) await copyPart(folder, root, autoencoder, "diffusion_pytorch_model", options);
      for (const file of textFiles) await copyFile(join(root, file), join(folder, file)).catch(ignoreAbsent);
    });
    log(`${out}: the reference's layout, weights in ${options.precision ?? "bf16"}`);
  } finally {
    await model.close();
  }
}

/** Values of `over` in place of those of `under`, at any depth. */
function merge(under: Readonly<Record<string, unknown>>, over: Readonly<Record<string, unknown>>) {
  const merged: Record<string, unknown> = { ...under };
  for (const [key, value] of Object.entries(over))
    merged[key] = isFields(value) && isFields(under[key]) ? merge(under[key], value) : value;
  return merged;
}

function isFields(value: unknown): value is Readonly<Record<string, unknown>> {
  return typeof value === "object" && value !== null && !Array.isArray(value);
}

async function copyPart(
  folder: string,
  root: string,
  part: ModelPart<unknown>,
  stem: string,
  options: ExportModelOptions,
  fields?: Parameters<typeof knownFields>[1],
): Promise<void> {
  if (!part.folder.startsWith(root))
    throw new InputError(`${part.folder} lies outside of ${root}; copy it there first`);
  const own = part.folder.slice(root.length).replace(/^[/\\]/, "");
  await makeFolder(join(folder, own));
  const config = (await readJson(folderFiles(part.folder), "config.json")) as Record<string, unknown>;
  await writeConfig(folder, own, fields ? knownFields(config, fields) : config);
  await writeWeights(join(folder, own), stem, part.weights, options);
}

async function writeConfig(folder: string, part: string, config: object): Promise<void> {
  await writeFile(join(folder, part, "config.json"), `${JSON.stringify(config, null, 2)}\n`, { flush: true });
}

/** All tensors of a checkpoint, and those that it lacks. */
async function writeWeights(
  folder: string,
  stem: string,
  weights: Checkpoint,
  { precision = "bf16", maxShardBytes }: ExportModelOptions,
  absent: ReadonlyMap<string, Absent> = new Map(),
): Promise<void> {
  const names = weights.names();
  const own = names.map((name) => [name, weights.find(name)!.shape] as const);
  const shapes = [...own, ...[...absent].map(([name, { shape }]) => [name, shape] as const)];
  const tensors = new Map(shapes.map(([name, shape]): [string, TensorShape] => [name, { dtype: precision, shape }]));
  const writer = await ShardedWriter.create(folder, stem, tensors, {
    metadata: { format: "pt" },
    ...(maxShardBytes !== undefined && { maxShardBytes }),
  });
  try {
    const write = (name: string, data: Float32Array) =>
      writer.write(name, 0, precision === "bf16" ? f32ToBf16(data) : data);
    const read = async (name: string) => (await weights.read(name)).data as Float32Array;
    for (const name of names) await write(name, await read(name));
    for (const [name, { shape, value }] of absent) {
      // What is never written reads as zeros.
      if (typeof value === "object") await write(name, await read(value.of));
      else if (value !== 0) await write(name, new Float32Array(countElements(shape)).fill(value));
    }
    await writer.finish();
  } catch (error) {
    await writer.close();
    throw error;
  }
}

function ignoreAbsent(error: NodeJS.ErrnoException): void {
  if (error.code !== "ENOENT") throw error;
}
