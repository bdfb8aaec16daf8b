// A model's folder: the autoregressive checkpoint at its top, the diffusion transformer in dit/ and the autoencoder in vae/,
// each with its own config.json. Names that the package ships or the Hub has are resolved to their folders.

import { readFile, stat } from "node:fs/promises";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { z } from "zod";
import { type Checkpoint, openCheckpoint } from "./checkpoint/checkpoint.ts";
import { CheckpointError } from "./checkpoint/checkpoint-error.ts";
import {
  type AutoencoderConfig,
  type DitConfig,
  parseAutoencoderConfig,
  parseDitConfig,
} from "./detokenizer/config.ts";
import type { FetchOptions } from "./hub/fetch-files.ts";
import { HubError } from "./hub/hub-error.ts";
import { parseHubName } from "./hub/hub-name.ts";
import { openHubModel } from "./hub/pull.ts";
import { type KeyeArConfig, parseKeyeArConfig } from "./llm/config.ts";

/** Models that the package ships. */
export const builtInModels = ["kelix-nano"] as const;

/** From the sources (src) as from the build (dist) the package's root is one folder up. */
const modelsFolder = fileURLToPath(new URL("../models/", import.meta.url));

const limit = z.int().min(1).max(100_000_000);
const preprocessorSchema = z.object({
  patch_size: z.int().min(1).max(256),
  merge_size: z.literal(2).default(2),
  min_pixels: limit,
  max_pixels: limit,
  image_mean: z.array(z.number()).length(3).default([0.5, 0.5, 0.5]),
  image_std: z.array(z.number().positive()).length(3).default([0.5, 0.5, 0.5]),
});
export type PreprocessorConfig = z.infer<typeof preprocessorSchema>;

const steps = z.int().min(1).max(1000);
const guidance = z.number().min(0).max(100);
const generationSchema = z.object({
  reconstruct: z.object({ steps, guidance }),
  imagine: z.object({
    steps,
    guidance,
    temperature: z.number().min(0),
    top_k: z.int().min(0),
    top_p: z.number().gt(0).max(1),
    /** Rows and columns of the picture's positions. */
    grid: z.tuple([z.int().min(1).max(1024), z.int().min(1).max(1024)]),
  }),
});
export type GenerationConfig = z.infer<typeof generationSchema>;

export interface ModelFolder {
  readonly path: string;
  readonly ar: KeyeArConfig;
  readonly preprocessor: PreprocessorConfig;
  readonly generation: GenerationConfig;
  readonly weights: Checkpoint;
  readonly detokenizer: {
    readonly transformer: { readonly config: DitConfig; readonly weights: Checkpoint };
    readonly autoencoder: { readonly config: AutoencoderConfig; readonly weights: Checkpoint };
  };
  close(): Promise<void>;
}

/**
 * The folder that a model's name stands for: a built-in name, a path, or a repository of the Hub (owner/name, owner/name@revision),
 * which is fetched if it is not in the cache. Throws, naming the choices, when there is none.
 */
export async function resolveModel(name: string, options: FetchOptions = {}): Promise<string> {
  const path = (builtInModels as readonly string[]).includes(name) ? join(modelsFolder, name) : name;
  const info = await stat(path).catch(() => undefined);
  if (info?.isDirectory()) return path;
  const hubName = info ? undefined : parseHubName(name);
  if (!hubName) {
    const choices = `a model's folder, a repository of the Hub (owner/name), or one of ${builtInModels.join(", ")}`;
    throw new CheckpointError(`${name}: there is no such model folder. Name ${choices}`);
  }
  try {
    return await openHubModel(hubName, options);
  } catch (error) {
    if (!(error instanceof HubError)) throw error;
    const { message, canRetry } = error;
    throw new HubError(`${name}: there is no such folder here, and from the Hub: ${message}`, {
      cause: error,
      canRetry,
    });
  }
}

/** Opens every checkpoint of a model's folder and reads its configs; no weight is read. Throws, naming the file, what is missing or wrong. */
export async function openModelFolder(name: string, options: FetchOptions = {}): Promise<ModelFolder> {
  const path = await resolveModel(name, options);
  const read = async <T>(file: string, parse: (json: unknown) => T): Promise<T> => {
    const json = await readJson(join(path, file));
    try {
      return parse(json);
    } catch (error) {
      const message = error instanceof z.ZodError ? z.prettifyError(error) : (error as Error).message;
      throw new CheckpointError(`${join(path, file)}: ${message}`);
    }
  };
  const ar = await read("config.json", parseKeyeArConfig);
  const preprocessor = await read("preprocessor_config.json", (json) => preprocessorSchema.parse(json));
  const generation = await read("generation_config.json", (json) => generationSchema.parse(json));
  const dit = await read("dit/config.json", parseDitConfig);
  const vae = await read("vae/config.json", parseAutoencoderConfig);
  const opened: Checkpoint[] = [];
  const close = async () => {
    await Promise.all(opened.map((checkpoint) => checkpoint.close()));
  };
  const open = async (folder: string) => {
    const checkpoint = await openCheckpoint(join(path, folder));
    opened.push(checkpoint);
    return checkpoint;
  };
  try {
    return {
      path,
      ar,
      preprocessor,
      generation,
      weights: await open(""),
      detokenizer: {
        transformer: { config: dit, weights: await open("dit") },
        autoencoder: { config: vae, weights: await open("vae") },
      },
      close,
    };
  } catch (error) {
    await close();
    throw error;
  }
}

/** A config beyond this is no config. */
const MAX_CONFIG_BYTES = 4_000_000;

async function readJson(path: string): Promise<unknown> {
  const bytes = await readFile(path).catch((error: NodeJS.ErrnoException) => {
    throw new CheckpointError(`${path}: cannot be read (${error.code})`);
  });
  if (bytes.length > MAX_CONFIG_BYTES)
    throw new CheckpointError(`${path} has ${bytes.length} bytes; at most ${MAX_CONFIG_BYTES} are read`);
  try {
    return JSON.parse(bytes.toString("utf8"));
  } catch (error) {
    throw new CheckpointError(`${path}: is not JSON: ${(error as Error).message}`);
  }
}
