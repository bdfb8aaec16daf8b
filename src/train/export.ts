// Exports a finished run as a model folder: the parts named by its config, with the run's own last weights.

import { readFile, stat } from "node:fs/promises";
import { join } from "node:path";
import { z } from "zod";
import { readJson } from "../checkpoint/json-file.ts";
import { InputError, quote } from "../errors.ts";
import { fileAt } from "../files/folder.node.ts";
import { findLocalModel } from "../model/find.node.ts";
import { refuseExisting } from "../quantize/atomic-folder.ts";
import { assembleModel, type TrainedParts } from "./assemble.ts";
import { runSchema } from "./config.ts";
import { resolveLatest } from "./latest.ts";
import { layersSchema } from "./layers.ts";
import { parseSettings } from "./settings.ts";

const config = z.record(z.string(), z.unknown());
const part = z.looseObject({ config, weights: layersSchema });

/** The parts named by `model` of a config, by stage; each stage checks the rest. */
const partsOf = {
  tokenizer: z.looseObject({ config }),
  "language-model": z.looseObject({ config, visualTokenizer: layersSchema }),
  diffusion: z.looseObject({ config, autoencoder: part, languageModel: part, visualTokenizer: layersSchema }),
} as const;

/** A model's files besides weights and configs; the first ones are required. */
const needed = ["tokenizer.json", "preprocessor_config.json"];
const optional = ["tokenizer_config.json", "chat_template.jinja", "chat_template.json", "generation_config.json"];

export interface ExportOptions {
  /** A folder with tokenizer.json, chat template, preprocessor_config.json and generation_config.json. */
  readonly files?: string | undefined;
  /** Of the weights. bf16 if absent. */
  readonly precision?: "bf16" | "f32";
  readonly log?: (line: string) => void;
}

/**
 * Writes the new model folder `out` from the run in the folder `run`. A diffusion run gives a whole model, a language-model or
 * tokenizer run one that describes but does not draw. Text and settings files come from `files`, else from the config's vocabulary
 * folder, else from kelix-nano. Throws an InputError if something is missing or `out` exists.
 */
export async function exportRun(
  run: string,
  out: string,
  { files, precision, log = () => {} }: ExportOptions = {},
): Promise<void> {
  await refuseExisting(out);
  const path = join(run, "config.json");
  const info = await stat(path).catch(() => undefined);
  if (!info?.isFile())
    throw new InputError(
      `${quote(run)} is not a run's folder: it has no config.json. Name a folder written by kelix train`,
    );
  const written = parseSettings(runSchema, await readJson(...fileAt(path)), path);
  // The latest checkpoint of the run at its current path, and of the runs named by its config.
  const { stage, model, data, initFrom } = await resolveLatest({ ...written, initFrom: [`${run}@latest`] });
  const own = initFrom[0]!;
  if (stage === "adapter")
    throw new InputError(`${run} trains an adapter: kelix finetune writes it, and kelix merge merges it into a model`);
  if (stage === "autoencoder")
    throw new InputError(`${run} trains only the autoencoder: export the diffusion run that uses it`);
  const found = await readFiles([files, data.tokenizer, await findLocalModel("kelix-nano")]);
  await assembleModel(out, { ...collect(stage, model, own, path), files: found, ...(precision && { precision }) }, log);
}

function collect(stage: keyof typeof partsOf, model: unknown, own: string, path: string): Omit<TrainedParts, "files"> {
  const where = `${path}: model`;
  if (stage === "tokenizer") {
    const { config: ar } = parseSettings(partsOf.tokenizer, model, where);
    return { ar, visualTokenizer: own, languageModel: own };
  }
  if (stage === "language-model") {
    const { config: ar, visualTokenizer } = parseSettings(partsOf["language-model"], model, where);
    return { ar, visualTokenizer, languageModel: own };
  }
  const parts = parseSettings(partsOf.diffusion, model, where);
  return {
    ar: parts.languageModel.config,
    visualTokenizer: parts.visualTokenizer,
    languageModel: parts.languageModel.weights,
    dit: { config: parts.config, weights: own },
    vae: parts.autoencoder,
  };
}

/** Each file from the first of the folders that has it. */
async function readFiles(folders: readonly unknown[]): Promise<Record<string, Uint8Array>> {
  const found: Record<string, Uint8Array> = {};
  const named = folders.filter((folder): folder is string => typeof folder === "string");
  for (const name of [...needed, ...optional]) {
    for (const folder of named) {
      const bytes = await readFile(join(folder, name)).catch(() => undefined);
      if (bytes) found[name] ??= bytes;
    }
    if (needed.includes(name) && !found[name])
      throw new InputError(`${name} is in none of ${named.join(", ")}: name a folder with --files`);
  }
  return found;
}
