// A model of which there are configs and nothing else yet: what it will take on the disk and in memory is known all the same.

import { join } from "node:path";
import type { Checkpoint } from "../../src/checkpoint/checkpoint.ts";
import { parseAutoencoderConfig, parseDitConfig } from "../../src/detokenizer/config.ts";
import { parseKeyeArConfig } from "../../src/llm/config.ts";
import { parseGenerationConfig, parsePreprocessorConfig } from "../../src/model/config.ts";
import type { OpenedModel } from "../../src/model/open.ts";
import { withMissingWeights } from "../../src/plan/stated-weights.ts";
import type { RehearsalConfigs } from "./configs.ts";

/** The model as writeModel writes it into `path`, every weight stated in bf16. */
export function unwrittenModel(path: string, { ar, transformer, autoencoder, ...rest }: RehearsalConfigs): OpenedModel {
  const config = parseKeyeArConfig(ar);
  const part = <T>(folder: string, own: T) => ({ folder, config: own, weights: nothing(folder) });
  return withMissingWeights({
    path,
    ar: config,
    tokenizer: config.tokenizer_config,
    preprocessor: parsePreprocessorConfig(rest.processor, config.tokenizer_config.vision_config),
    generation: parseGenerationConfig(undefined),
    weights: nothing(path),
    detokenizer: {
      hidden: part(join(path, "Kelix-DiT"), { ...parseDitConfig(transformer), modelMaxLength: rest.conditionRows }),
      autoencoder: part(join(path, "vae"), parseAutoencoderConfig(autoencoder)),
    },
    unknownFields: [],
    close: async () => {},
  });
}

function nothing(path: string): Checkpoint {
  const read = () => Promise.reject(new Error(`${path}: nothing is written yet`));
  return { path, files: [], names: () => [], find: () => undefined, read, close: async () => {} };
}
