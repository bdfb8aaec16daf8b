// Writes a model of random weights in the layout in which the released checkpoints lie: the autoregressive model in shards with
// their index, the diffusion transformer and the autoencoder in folders beside it. No preprocessing or drawing settings of ours.

import { writeFile } from "node:fs/promises";
import { join } from "node:path";
import { parseAutoencoderConfig, parseDitConfig } from "../../src/detokenizer/config.ts";
import { makeFolder } from "../../src/hub/make-folder.ts";
import { parseKeyeArConfig } from "../../src/llm/config.ts";
import {
  declareAutoencoder,
  declareAutoregressive,
  declareTransformer,
  outputMatrices,
} from "../../src/model/declare.ts";
import { type TensorShape, tensorBytes } from "../../src/quantize/safetensors-layout.ts";
import { ShardedWriter } from "../../src/quantize/sharded-writer.ts";
import { f32ToBf16 } from "../../src/quantize/to-bfloat16.ts";
import { countElements } from "../../src/runtime/host-tensor.ts";
import type { Init } from "../../src/tensor/params.ts";
import { releasedTemplate } from "../../src/text/load-text.ts";
import { tokenizerJson } from "../../src/train/bpe.ts";
import type { RehearsalConfigs } from "./configs.ts";
import { NormalNumbers } from "./normal-numbers.ts";
import { syntheticVocabulary } from "./vocabulary.ts";

/** A tensor to write and how it begins. */
interface Tensor {
  readonly name: string;
  readonly shape: readonly number[];
  readonly init: Init;
}

/** One checkpoint of the model. */
interface Part {
  /** "" for the model's own folder. */
  readonly folder: string;
  /** Of its files' names. */
  readonly stem: string;
  readonly config: object;
  readonly tensors: readonly Tensor[];
}

export interface WriteOptions {
  readonly seed?: number;
  readonly signal?: AbortSignal;
  /** Bytes written so far. */
  readonly onProgress?: (done: number, total: number) => void;
}

/** Elements that are drawn and written at a time: 32 MB. */
const CHUNK_ELEMENTS = 2 ** 24;

/** Below this a small pool of random numbers will do, which takes no time to draw. */
const FEW_BYTES = 1e9;

/** Bytes of all weights. */
export function modelBytes(configs: RehearsalConfigs): number {
  return partsOf(configs).reduce((sum, part) => sum + partBytes(part), 0);
}

/** Writes the model into an existing folder and returns the bytes of its weights. The same seed writes the same files. */
export async function writeModel(
  folder: string,
  configs: RehearsalConfigs,
  options: WriteOptions = {},
): Promise<number> {
  const parts = partsOf(configs);
  const total = modelBytes(configs);
  const numbers = new NormalNumbers(options.seed ?? 1, total < FEW_BYTES ? 65_521 : 4_194_301);
  let done = 0;
  for (const part of parts) {
    await writePart(join(folder, part.folder), part, configs.maxShardBytes, numbers, {
      ...options,
      onProgress: (bytes) => options.onProgress?.(done + bytes, total),
    });
    done += partBytes(part);
  }
  const writeJson = (name: string, json: object) => writeFile(join(folder, name), `${JSON.stringify(json, null, 1)}\n`);
  const vocabulary = syntheticVocabulary(parseKeyeArConfig(configs.ar).qwen_config.vocab_size);
  const { tokens, special } = vocabulary;
  await writeJson("tokenizer.json", tokenizerJson(vocabulary, tokens.length + special.length));
  await writeJson("tokenizer_config.json", { tokenizer_class: "Qwen2Tokenizer", chat_template: releasedTemplate });
  await writeJson("preprocessor_config.json", configs.processor);
  return total;
}

function partsOf({ ar, transformer, autoencoder, conditionRows }: RehearsalConfigs): Part[] {
  const config = parseKeyeArConfig(ar);
  // The null condition has more rows than the released config says.
  const dit = { ...parseDitConfig(transformer), modelMaxLength: conditionRows };
  const { d_model } = config.token_decoder_config;
  const { hidden_size } = config.tokenizer_config.vision_config;
  return [
    {
      folder: "",
      stem: "model",
      config: ar,
      tensors: [
        ...declared(declareAutoregressive(config)),
        // Nobody reads these, but the reference writes them.
        { name: "model.model.token_head.final_norm.weight", shape: [d_model], init: { kind: "constant", value: 1 } },
        { name: "model.model.token_head.final_norm.bias", shape: [d_model], init: { kind: "constant", value: 0 } },
        {
          name: "visual_tokenizer.visual.embeddings.packing_position_embedding.weight",
          shape: [PACKING_POSITIONS, hidden_size],
          init: { kind: "normal", std: 0.02 },
        },
      ],
    },
    { folder: "Kelix-DiT", stem: "model", config: transformer, tensors: declared(declareTransformer(dit)) },
    {
      folder: "vae",
      stem: "diffusion_pytorch_model",
      config: autoencoder,
      tensors: declared(declareAutoencoder({ config: parseAutoencoderConfig(autoencoder) })),
    },
  ];
}

const PACKING_POSITIONS = 32_768;

function declared(parameters: ReturnType<typeof declareTransformer>): Tensor[] {
  return parameters.map(({ path, shape, init }) => ({ name: path, shape, init }));
}

async function writePart(
  folder: string,
  { stem, config, tensors }: Part,
  maxShardBytes: number,
  numbers: NormalNumbers,
  { signal, onProgress }: { readonly signal?: AbortSignal; readonly onProgress: (bytes: number) => void },
): Promise<void> {
  await makeFolder(folder);
  await writeFile(join(folder, "config.json"), `${JSON.stringify(config, null, 2)}\n`);
  const shapes = new Map(tensors.map(({ name, shape }) => [name, stored(shape)]));
  const writer = await ShardedWriter.create(folder, stem, shapes, { metadata: { format: "pt" }, maxShardBytes });
  try {
    let done = 0;
    for (const { name, shape, init } of tensors) {
      const size = countElements(shape);
      for (let offset = 0; offset < size; offset += CHUNK_ELEMENTS) {
        signal?.throwIfAborted();
        const chunk = new Uint16Array(Math.min(CHUNK_ELEMENTS, size - offset));
        if (init.kind === "constant") chunk.fill(bf16Of(init.value));
        else
          numbers.fill(chunk, sequenceOf(name), offset, init.kind === "normal" ? init.std : init.limit / Math.sqrt(3));
        await writer.write(name, 2 * offset, chunk);
        done += chunk.byteLength;
        onProgress(done);
      }
    }
    await writer.finish();
  } finally {
    await writer.close();
  }
}

/** Both names of the output matrix hold the same numbers. */
function sequenceOf(name: string): string {
  const [used, second] = outputMatrices;
  return name === second ? used : name;
}

function bf16Of(value: number): number {
  return f32ToBf16(Float32Array.of(value))[0]!;
}

function stored(shape: readonly number[]): TensorShape {
  return { dtype: "bf16", shape };
}

function partBytes({ tensors }: Part): number {
  return tensors.reduce((sum, { shape }) => sum + tensorBytes(stored(shape)), 0);
}
