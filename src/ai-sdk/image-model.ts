// generateImage: images for a prompt, or one that is changed as the prompt says.

import {
  type ImageModelV3,
  type ImageModelV3CallOptions,
  type ImageModelV3File,
  InvalidArgumentError,
  type SharedV3Warning,
} from "@ai-sdk/provider";
import { type Backend, type GivenImage, kelixOptions, unsupported } from "./backend.ts";

/** A server draws no more for one request. */
const MOST_IMAGES = 10;

export function imageModel(backend: Backend, provider: string, modelId: string): ImageModelV3 {
  return {
    specificationVersion: "v3",
    provider,
    modelId,
    maxImagesPerCall: MOST_IMAGES,
    async doGenerate(options: ImageModelV3CallOptions) {
      const { n, size, seed, aspectRatio, files = [], mask, abortSignal, headers } = options;
      const { steps, guidance } = kelixOptions(options.providerOptions);
      const warnings: SharedV3Warning[] = [];
      if (aspectRatio !== undefined) warnings.push(unsupported("aspectRatio", "images have the model's own size"));
      const prompt = options.prompt ?? "";
      if (files.length > 1) throw refuse("files", `Kelix edits one image at a time, got ${files.length}`);
      if (mask && files.length === 0) throw refuse("mask", "A mask needs an image to edit");
      const sampling = { seed, steps, guidance, temperature: undefined, topP: undefined, topK: undefined };
      const given = {
        ...(files[0] && { image: bytesOf(files[0], "files") }),
        ...(mask && { mask: bytesOf(mask, "mask") }),
      };
      const asked = { prompt, n, size, ...given, ...sampling };
      const { pieces, usage } = await backend.draw(modelId, asked, { signal: abortSignal, headers });
      const images = pieces.map(({ data }) => data) as string[] | Uint8Array[]; // a backend gives all in one form
      return {
        images,
        warnings,
        providerMetadata: { kelix: { images: pieces.map(({ facts }) => facts) } },
        ...(usage && { usage }),
        response: { timestamp: new Date(), modelId, headers: undefined },
      };
    },
  };
}

function bytesOf(file: ImageModelV3File, argument: string): GivenImage {
  if (file.type === "file") return file.data;
  throw refuse(argument, "Kelix fetches no images: pass the file's bytes");
}

function refuse(argument: string, message: string): InvalidArgumentError {
  return new InvalidArgumentError({ argument, message });
}
