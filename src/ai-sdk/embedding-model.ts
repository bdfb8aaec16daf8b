// embed and embedMany: vectors of images that are given as data: URLs.

import { type EmbeddingModelV3, InvalidArgumentError } from "@ai-sdk/provider";
import type { Backend } from "./backend.ts";

/** A server reads no more images in one request. */
const MOST_IMAGES = 16;

export function embeddingModel(backend: Backend, provider: string, modelId: string): EmbeddingModelV3 {
  return {
    specificationVersion: "v3",
    provider,
    modelId,
    maxEmbeddingsPerCall: MOST_IMAGES,
    supportsParallelCalls: false,
    async doEmbed({ values, abortSignal, headers }) {
      for (const value of values) {
        if (/^data:/i.test(value)) continue;
        throw new InvalidArgumentError({
          argument: "value",
          message: "Kelix embeds images: pass each as a data: URL, not as a text",
        });
      }
      const { vectors, tokens } = await backend.embed(modelId, values, { signal: abortSignal, headers });
      return { embeddings: vectors, ...(tokens !== undefined && { usage: { tokens } }), warnings: [] };
    },
  };
}
