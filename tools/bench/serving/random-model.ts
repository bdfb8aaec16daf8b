// A model folder of Qwen3 0.6B's sizes for `kelix serve`: random weights as `convert --weights int4` stores them, with kelix-nano's
// tokenizer and image encoder. Written once into the benchmarks' cache.

import { copyFile, readFile, rename, rm, stat, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { makeFolder } from "../../../src/hub/make-folder.ts";
import { parseKeyeArConfig } from "../../../src/llm/config.ts";
import { declareMain } from "../../../src/model/declare.ts";
import { writeSafetensors } from "../../../src/quantize/safetensors-file.ts";
import type { HostTensor } from "../../../src/runtime/host-tensor.ts";
import { scalesName } from "../../../src/runtime/weight-source.ts";
import { asConverted, type Block, benchCache, randomTensors } from "../decoding/random-checkpoint.ts";
import { type DecodingShape, decodingShapes, sizesOf } from "../decoding/shapes.ts";

const nano = join(import.meta.dirname, "../../../models/kelix-nano");
const OUTPUT = "model.model.output.weight";
const UNREAD = /^lm_head\.weight$/;

export const served = { "h1024-l28": decodingShapes["h1024-l28"], toy: decodingShapes.toy } as const;
export type ServedShape = keyof typeof served;

/** The folder, which is written first if it is not there. */
export async function randomModel(shape: ServedShape, block: Block): Promise<string> {
  const folder = join(benchCache(), `${shape}-served-b${block}`);
  if (await stat(folder).catch(() => undefined)) return folder;
  const partial = `${folder}.partial`;
  await rm(partial, { recursive: true, force: true });
  await makeFolder(partial);
  const config = await configOf(served[shape]);
  await writeFile(join(partial, "config.json"), JSON.stringify(config));
  const ar = parseKeyeArConfig(config);
  const declared = declareMain({ path: folder, ar, tokenizer: ar.tokenizer_config });
  const read = declared.filter(({ path }) => !UNREAD.test(path));
  const words: number = config.qwen_config.pad_token_id;
  const tensors = [...randomTensors(read, asConverted(block))].map((tensor) => onlyWords(tensor, words));
  await writeSafetensors(join(partial, "model.safetensors"), tensors);
  for (const file of ["tokenizer.json", "tokenizer_config.json", "chat_template.jinja", "preprocessor_config.json"])
    await copyFile(join(nano, file), join(partial, file));
  await writeFile(join(partial, "generation_config.json"), "{}");
  await rename(partial, folder);
  return folder;
}

/** kelix-nano's, with the sizes of the shape and ids beyond the tokenizer's that nobody writes. */
async function configOf(shape: DecodingShape) {
  const config = JSON.parse(await readFile(join(nano, "config.json"), "utf8"));
  return {
    ...config,
    qwen_config: {
      ...config.qwen_config,
      ...sizesOf(shape),
      max_seq_len: 2048,
    },
    tokenizer_config: { ...config.tokenizer_config, llm_hidden_size: shape.width, output_dim: shape.width },
    token_decoder_config: { ...config.token_decoder_config, input_dim: shape.width },
  };
}

/** The output matrix with rows of zeros beyond the tokenizer's words: their scores are 0, and some word's is larger. */
function onlyWords([name, tensor]: readonly [string, HostTensor], words: number): readonly [string, HostTensor] {
  const isOutput = name === OUTPUT || name === scalesName(OUTPUT);
  if (!isOutput || tensor.dtype !== "f32") return [name, tensor];
  const data = tensor.data as Float32Array;
  data.fill(0, words * (data.length / tensor.shape[0]!));
  return [name, tensor];
}
