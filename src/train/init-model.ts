// `--init MODEL` with a model folder: the run continues from that model, so its configs, vocabulary and frozen parts replace
// those in the run's config.

import { existsSync } from "node:fs";
import { join } from "node:path";
import { readJson } from "../checkpoint/json-file.ts";
import { fileAt } from "../files/folder.node.ts";
import type { RunConfig } from "./config.ts";

/** The config for a run that starts from the model in `folder`; unchanged if that is not a model folder. */
export async function withModelFolder(config: RunConfig, folder: string): Promise<RunConfig> {
  if (!existsSync(join(folder, "config.json")) || !existsSync(join(folder, "tokenizer.json"))) return config;
  const read = async (part: string) => {
    const path = join(folder, part, "config.json");
    return existsSync(path) ? { config: await readJson(...fileAt(path)), weights: join(folder, part) } : undefined;
  };
  const [main, dit, vae] = [await read(""), await read("dit"), await read("vae")];
  const data = "tokenizer" in config.data ? { ...config.data, tokenizer: folder } : config.data;
  const model: Record<string, unknown> = { ...config.model };
  switch (config.stage) {
    case "autoencoder":
      if (vae) model.config = vae.config;
      break;
    case "tokenizer":
      model.config = main!.config;
      delete model.start; // its codebooks are already trained
      if (vae && "autoencoder" in ((model.targets ?? {}) as object))
        model.targets = { ...(model.targets as object), autoencoder: vae };
      break;
    case "language-model":
      Object.assign(model, { config: main!.config, visualTokenizer: folder });
      break;
    case "diffusion":
      Object.assign(model, { visualTokenizer: folder, languageModel: { config: main!.config, weights: folder } });
      if (dit) model.config = dit.config;
      if (vae) model.autoencoder = vae;
      break;
    default:
      return config;
  }
  return { ...config, data, model };
}
