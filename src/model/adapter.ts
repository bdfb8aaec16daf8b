// A low-rank adapter beside a model: a folder in PEFT's layout (adapter_config.json, adapter_model.safetensors) as a source of weights
// over the model's own. https://huggingface.co/docs/peft/developer_guides/checkpoint

import * as z from "zod";
import { openCheckpoint } from "../checkpoint/checkpoint.ts";
import { readJson } from "../checkpoint/json-file.ts";
import { ignored, only, parseConfig } from "../checkpoint/parse-config.ts";
import { shorten } from "../checkpoint/shorten.ts";
import { ModelError } from "../errors.ts";
import type { ModelFiles } from "../files/model-files.ts";
import { type KeyeArConfig, languageModelConfig } from "../llm/config.ts";
import { declareLanguageModel } from "../llm/generation-graphs.ts";
import { type LowRank, lowRankAdapters } from "../nn/adapter.ts";
import type { HostTensor } from "../runtime/host-tensor.ts";
import { memoryWeights } from "../runtime/memory-weights.ts";
import type { WeightSource } from "../runtime/weight-source.ts";
import { Graph } from "../tensor/graph.ts";

export interface Adapter {
  readonly path: string;
  /** By the path of the linear map that each is beside. */
  readonly ranks: ReadonlyMap<string, LowRank>;
  /** f32, under the names that the model's graphs give them: `<path>.lora_A.weight` [r, in], `<path>.lora_B.weight` [out, r]. */
  readonly tensors: ReadonlyMap<string, HostTensor>;
}

/** The files of an adapter. */
export const adapterFiles = ["adapter_config.json", "adapter_model.safetensors"] as const;
/** What PEFT puts before every name: a wrapper's two levels around the model. */
export const ADAPTER_PREFIX = "base_model.model.";
/** An adapter as large as its model is none. */
const MAX_RANK = 4096;

const none = z.union([z.null(), z.array(z.never()), z.strictObject({})]).optional();

const configSchema = z.looseObject({
  peft_type: z.literal("LORA"),
  r: z.int().min(1).max(MAX_RANK),
  lora_alpha: z.number().min(0).max(1e6),
  /** The scale is alpha over the rank's root. */
  use_rslora: z.boolean().default(false),
  use_dora: only(false),
  fan_in_fan_out: only(false),
  lora_bias: only(false),
  bias: only("none"),
  alpha_pattern: none,
  modules_to_save: none,
  layer_replication: none,
  target_parameters: none,
  trainable_token_indices: none,
  use_bdlora: none,
  use_qalora: only(false),
  target_modules: ignored,
});

/** Reads an adapter. Throws a ModelError, naming the file, when it is none or of a kind that is not supported. */
export async function readAdapter(files: ModelFiles): Promise<Adapter> {
  const [name] = adapterFiles;
  const config = parseConfig(configSchema, await readJson(files, name), files.nameOf(name));
  const checkpoint = await openCheckpoint(files);
  try {
    const tensors = new Map<string, HostTensor>();
    const ranks = new Map<string, LowRank>();
    for (const stored of checkpoint.names().sort()) {
      const [, name, module, side] = /^(?:base_model\.model\.)?((.+)\.lora_([AB])\.weight)$/.exec(stored) ?? [];
      if (name === undefined || module === undefined)
        throw new ModelError(`${checkpoint.path}: ${stored} is no part of a low-rank adapter`);
      const tensor = await checkpoint.read(stored);
      const rank = tensor.shape[side === "A" ? 0 : 1];
      if (
        tensor.shape.length !== 2 ||
        rank === undefined ||
        rank > MAX_RANK ||
        (ranks.get(module)?.rank ?? rank) !== rank
      )
        throw new ModelError(`${checkpoint.path}: ${stored} has the shape [${tensor.shape}], which is of no adapter`);
      const { lora_alpha: alpha, use_rslora } = config;
      ranks.set(module, { rank, scale: alpha / (use_rslora ? Math.sqrt(rank) : rank) });
      tensors.set(name, tensor);
    }
    return { path: files.name, ranks, tensors };
  } finally {
    await checkpoint.close();
  }
}

/** Throws a ModelError that lists what of an adapter does not belong to the language model. */
export function checkAdapter({ path, ranks, tensors }: Adapter, ar: KeyeArConfig): void {
  const graph = new Graph();
  graph.adaptLinear = lowRankAdapters((module) => ranks.get(module));
  declareLanguageModel(graph, languageModelConfig(ar));
  const strangers = [...tensors].flatMap(([name, { shape }]) => {
    const declared = graph.parameters.get(name)?.shape;
    if (`${declared}` === `${shape}`) return [];
    return [declared ? `${name} has the shape [${shape}], wanted [${declared}]` : `${name} is beside no linear map`];
  });
  const missing = [...graph.parameters.keys()].filter(
    (name) => /\.lora_[AB]\.weight$/.test(name) && !tensors.has(name),
  );
  const faults = [...strangers, ...missing.map((name) => `${name} is missing`)];
  if (faults.length > 0)
    throw new ModelError(`${path} is not an adapter of this model: ${shorten(faults)}. Was it trained on another one?`);
}

/** The weights of a model with an adapter: the model's own stay as they are, the adapter's are added to what they compute. */
export function withAdapter(base: WeightSource, { ranks, tensors }: Adapter): WeightSource {
  const own = memoryWeights(tensors);
  return {
    find: (name) => own.find(name) ?? base.find(name),
    adaptLinear: lowRankAdapters((module) => ranks.get(module)),
  };
}
