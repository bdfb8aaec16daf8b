// Facts about a model, read from its configs and the headers of its files.

import type { Checkpoint } from "./checkpoint/checkpoint.ts";
import type { ModelFolder } from "./model-folder.ts";
import { bookSize } from "./vision/config.ts";

/** What is known of a loaded model. */
export interface ModelInfo {
  readonly path: string;
  readonly parameters: Readonly<Record<"vision" | "languageModel" | "diffusionTransformer" | "autoencoder", number>>;
  readonly codebooks: number;
  readonly codesPerBook: number;
  readonly vocabulary: number;
  readonly width: number;
  readonly layers: number;
}

/** Counts what the files hold; no weight is read. */
export function describeModel({ path, ar, weights, detokenizer }: ModelFolder): ModelInfo {
  const isVision = (name: string) => name.startsWith("visual_tokenizer.");
  return {
    path,
    parameters: {
      vision: countElements(weights, isVision),
      languageModel: countElements(weights, (name) => !isVision(name)),
      diffusionTransformer: countElements(detokenizer.hidden?.weights),
      autoencoder: countElements(detokenizer.autoencoder?.weights),
    },
    codebooks: ar.qwen_config.n_q_tokens,
    codesPerBook: bookSize(ar.tokenizer_config),
    vocabulary: ar.qwen_config.vocab_size,
    width: ar.qwen_config.embed_dim,
    layers: ar.qwen_config.num_layers,
  };
}

function countElements(source: Checkpoint | undefined, isCounted: (name: string) => boolean = () => true): number {
  if (!source) return 0;
  const sizes = source
    .names()
    .filter(isCounted)
    .map((name) => source.find(name)!.shape.reduce((a, b) => a * b, 1));
  return sizes.reduce((sum, size) => sum + size, 0);
}
