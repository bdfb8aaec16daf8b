// A provider for the AI SDK: import { createKelix } from "kelix/ai-sdk". docs/ai-sdk.md shows its use.

import type { EmbeddingModelV3, ImageModelV3, LanguageModelV3, ProviderV3 } from "@ai-sdk/provider";
import type { Kelix } from "../kelix.ts";
import type { Backend } from "./backend.ts";
import { embeddingModel } from "./embedding-model.ts";
import { imageModel } from "./image-model.ts";
import { inProcess } from "./in-process.ts";
import { languageModel } from "./language-model.ts";
import { remote } from "./remote.ts";

export type { KelixOptions } from "./backend.ts";

/** Where the model is: in this process, or behind `kelix serve`. */
export type KelixSettings =
  | {
      /** A loaded model, or the promise of one; it is not disposed of here. */
      readonly kelix: Kelix | PromiseLike<Kelix>;
    }
  | {
      /** With the path: "http://127.0.0.1:8080/v1", which is the one if absent. */
      readonly baseURL?: string | undefined;
      readonly apiKey?: string | undefined;
      /** Sent with every request. */
      readonly headers?: Readonly<Record<string, string>> | undefined;
      /** In place of the global one. */
      readonly fetch?: typeof globalThis.fetch | undefined;
    };

/** Models by the id that the server gives them; in this process any id is the loaded model's. */
export interface KelixProvider extends ProviderV3 {
  (modelId?: string): LanguageModelV3;
  languageModel(modelId?: string): LanguageModelV3;
  /** As `imageModel`. */
  image(modelId?: string): ImageModelV3;
  imageModel(modelId?: string): ImageModelV3;
  /** As `embeddingModel`. */
  embedding(modelId?: string): EmbeddingModelV3;
  /** Embeds images that are given as data: URLs. */
  embeddingModel(modelId?: string): EmbeddingModelV3;
}

const DEFAULT_URL = "http://127.0.0.1:8080/v1";
const DEFAULT_MODEL = "kelix-nano";

export function createKelix(settings: KelixSettings = {}): KelixProvider {
  const backend = backendOf(settings);
  const language = (modelId = DEFAULT_MODEL) => languageModel(backend, "kelix.chat", modelId);
  const image = (modelId = DEFAULT_MODEL) => imageModel(backend, "kelix.image", modelId);
  const embedding = (modelId = DEFAULT_MODEL) => embeddingModel(backend, "kelix.embedding", modelId);
  const provider = (modelId?: string) => language(modelId);
  return Object.assign(provider, {
    specificationVersion: "v3" as const,
    languageModel: language,
    image,
    imageModel: image,
    embedding,
    embeddingModel: embedding,
  });
}

function backendOf(settings: KelixSettings): Backend {
  if ("kelix" in settings) return inProcess(settings.kelix);
  const { baseURL = DEFAULT_URL, apiKey, headers = {}, fetch = (...call) => globalThis.fetch(...call) } = settings;
  return remote({ baseURL, apiKey, headers, fetch });
}
