// Assembles trained parts into a model folder: weights under the reference's names, with their configs. The last step of
// `kelix export` and `kelix train toy`.

import { writeFile } from "node:fs/promises";
import { join } from "node:path";
import { InputError, ModelError } from "../errors.ts";
import { makeFolder } from "../hub/make-folder.ts";
import { parseKeyeArConfig } from "../llm/config.ts";
import { createFolder } from "../quantize/atomic-folder.ts";
import { writeSafetensors } from "../quantize/safetensors-file.ts";
import { f32ToBf16 } from "../quantize/to-bfloat16.ts";
import { f32, type HostTensor, hostTensor } from "../runtime/host-tensor.ts";
import { openLayers } from "./layers.ts";

/** A file or folder of weights, or several; later ones override earlier ones. */
type Weights = string | readonly string[];

/** A part's config as in its file, and its weights. */
export interface TrainedPart {
  readonly config: Readonly<Record<string, unknown>>;
  readonly weights: Weights;
}

export interface TrainedParts {
  /** KeyeARConfig of image tokenizer and language model, whose weights may be in separate files. */
  readonly ar: Readonly<Record<string, unknown>>;
  readonly visualTokenizer: Weights;
  readonly languageModel: Weights;
  /** Without them the model can describe but not draw. */
  readonly dit?: TrainedPart;
  readonly vae?: TrainedPart;
  /** Text and settings files: tokenizer.json, chat_template.jinja, preprocessor_config.json, generation_config.json, .. */
  readonly files: Readonly<Record<string, string | Uint8Array>>;
  /** Of the weights: bf16 if absent. */
  readonly precision?: "bf16" | "f32";
}

type Tensors = Map<string, HostTensor>;

/** Writes the new folder `out` atomically. Throws an InputError if it exists, a ModelError for parts that do not fit. */
export async function assembleModel(
  out: string,
  parts: TrainedParts,
  log: (line: string) => void = () => {},
): Promise<void> {
  const { token_decoder_config: head } = parseKeyeArConfig(parts.ar, "config.json");
  const round = (tensor: HostTensor) => (parts.precision === "f32" ? tensor : toBf16(tensor));
  const collect = (source: Weights, keep?: (name: string) => boolean) => read(source, round, keep);
  await createFolder(out, async (folder) => {
    const tokenizer = await collect(parts.visualTokenizer, (name) => name.startsWith("visual_tokenizer."));
    const language = await collect(parts.languageModel, (name) => name.startsWith("model.") || name === LM_HEAD);
    // One output matrix, saved under both names: the reference's generation reads one, its training the other.
    const output = language.get(LM_HEAD) ?? language.get(OUTPUT);
    if (!output) throw new ModelError(`${parts.languageModel}: has neither ${LM_HEAD} nor ${OUTPUT}`);
    language.set(LM_HEAD, output).set(OUTPUT, output);
    // Never read, but part of the reference's class.
    language.set(
      "model.model.token_head.final_norm.weight",
      round(f32(new Float32Array(head.d_model).fill(1), [head.d_model])),
    );
    language.set("model.model.token_head.final_norm.bias", round(f32(new Float32Array(head.d_model), [head.d_model])));
    const write = async (part: string, file: string, tensors: Tensors, config: object) => {
      await makeFolder(join(folder, part));
      await writeSafetensors(join(folder, part, file), tensors, { format: "pt" });
      await writeFile(join(folder, part, "config.json"), `${JSON.stringify(config, null, 2)}\n`);
      log(`${join(out, part, file)}: ${tensors.size} tensors`);
    };
    await write("", "model.safetensors", new Map([...tokenizer, ...language]), parts.ar);
    if (parts.dit) await write("dit", "model.safetensors", await collect(parts.dit.weights), parts.dit.config);
    if (parts.vae)
      await write("vae", "diffusion_pytorch_model.safetensors", await collect(parts.vae.weights), parts.vae.config);
    for (const [name, content] of Object.entries(parts.files)) await writeFile(join(folder, name), content);
  });
}

const LM_HEAD = "lm_head.weight";
const OUTPUT = "model.model.output.weight";

async function read(
  source: Weights,
  round: (tensor: HostTensor) => HostTensor,
  keep: (name: string) => boolean = () => true,
): Promise<Tensors> {
  const checkpoint = await openLayers(source);
  try {
    const names = checkpoint.names().filter(keep);
    if (names.length === 0) throw new InputError(`${source}: has none of the weights that belong there`);
    const tensors: Tensors = new Map();
    for (const name of names) tensors.set(name, round(await checkpoint.read(name)));
    return tensors;
  } finally {
    await checkpoint.close();
  }
}

function toBf16({ dtype, data, shape }: HostTensor): HostTensor {
  return dtype === "f32" ? hostTensor("bf16", f32ToBf16(data as Float32Array), shape) : hostTensor(dtype, data, shape);
}
