// A model's folder: the autoregressive checkpoint at its top and, in sub-folders or elsewhere, what pictures are drawn with:
// diffusion transformers and an autoencoder. Names that the package ships or the Hub has are resolved to their folders.

import { stat } from "node:fs/promises";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { z } from "zod";
import { type Checkpoint, type OpenCheckpointOptions, openCheckpoint } from "./checkpoint/checkpoint.ts";
import { readJson, readJsonIfPresent } from "./checkpoint/json-file.ts";
import {
  type AutoencoderConfig,
  type DitConfig,
  parseAutoencoderConfig,
  parseDitConfig,
} from "./detokenizer/config.ts";
import { excerpt, FetchError, ModelError, quote } from "./errors.ts";
import type { FetchOptions } from "./hub/fetch-files.ts";

import { parseHubName } from "./hub/hub-name.ts";
import { openHubModel } from "./hub/pull.ts";
import { type KeyeArConfig, parseKeyeArConfig } from "./llm/config.ts";
import {
  type GenerationConfig,
  type PreprocessorConfig,
  parseGenerationConfig,
  parsePreprocessorConfig,
} from "./model-config.ts";
import { assignTransformers, type FoundPart, findParts, type PartKind } from "./model-parts.ts";
import type { PullOptions } from "./options.ts";

/** Models that the package ships. */
export const builtInModels = ["kelix-nano"] as const;

/** From the sources (src) as from the build (dist) the package's root is one folder up. */
const modelsFolder = fileURLToPath(new URL("../models/", import.meta.url));

/** A network with its weights. */
export interface ModelPart<Config> {
  readonly folder: string;
  readonly config: Config;
  readonly weights: Checkpoint;
}

/** What pictures are drawn with. Each may be absent: a model that only understands has none of them. */
export interface DetokenizerFolder {
  /** Draws from the language model's hidden states. */
  readonly hidden?: ModelPart<DitConfig>;
  /** Draws from codes alone; the same transformer as `hidden` in models that have one for both. */
  readonly codes?: ModelPart<DitConfig>;
  readonly autoencoder?: ModelPart<AutoencoderConfig>;
}

export interface ModelFolder {
  readonly path: string;
  readonly ar: KeyeArConfig;
  readonly preprocessor: PreprocessorConfig;
  readonly generation: GenerationConfig;
  readonly weights: Checkpoint;
  readonly detokenizer: DetokenizerFolder;
  close(): Promise<void>;
}

/** Where the parts lie that are not in sub-folders of the model's. Names as for the model itself. */
export interface PartFolders {
  /** Folders of diffusion transformers, in place of those in sub-folders. */
  readonly detokenizer?: string | readonly string[];
  /** The folder of the autoencoder, in place of one in a sub-folder. */
  readonly autoencoder?: string;
}

/** The folder of a built-in name, or that a path leads to; undefined when there is none. */
export async function findLocalModel(name: string): Promise<string | undefined> {
  const path = (builtInModels as readonly string[]).includes(name) ? join(modelsFolder, name) : name;
  const info = await stat(path).catch(() => undefined);
  return info?.isDirectory() ? path : undefined;
}

/**
 * The folder that a model's name stands for: a built-in name, a path, or a repository of the Hub (owner/name, owner/name@revision),
 * which is fetched if it is not in the cache. Throws, naming the choices, when there is none.
 */
export async function resolveModel(name: string, options: PullOptions = {}): Promise<string> {
  const local = await findLocalModel(name);
  if (local !== undefined) return local;
  if ((builtInModels as readonly string[]).includes(name)) throw strayed(name);
  const isFile = await stat(name).then(
    () => true,
    () => false,
  );
  const hubName = isFile ? undefined : parseHubName(name);
  if (!hubName) {
    const choices = `a model's folder, a repository of the Hub (owner/name), or one of ${builtInModels.join(", ")}`;
    const found = isFile ? "is a file, not a model's folder" : "there is no such model folder";
    throw new ModelError(`${quote(name)}: ${found}. Name ${choices}`, { code: "model_not_found" });
  }
  return askHub(name, () => openHubModel(hubName, options));
}

/** A bundler takes the code along, and not the models, libraries and other files that lie beside it. */
function strayed(name: string): ModelError {
  return new ModelError(
    `${quote(name)} comes with the package, and is not at ${modelsFolder}: if this program is a bundle, keep kelix external ` +
      '(esbuild --external:kelix; webpack, Rollup and Vite external: ["kelix"]; Next.js serverExternalPackages: ["kelix"])',
    { code: "model_not_found" },
  );
}

/** Asks the Hub, and says of what it cannot give that there is no such folder here either. */
export async function askHub<T>(name: string, ask: () => Promise<T>): Promise<T> {
  try {
    return await ask();
  } catch (error) {
    if (!(error instanceof FetchError)) throw error;
    const { message, canRetry, retryAfterMs, code } = error;
    throw new FetchError(`${excerpt(name)}: there is no such folder here, and from the Hub: ${message}`, {
      cause: error,
      canRetry,
      retryAfterMs,
      code,
    });
  }
}

export type OpenModelOptions = PartFolders & FetchOptions & OpenCheckpointOptions;

/**
 * Opens every checkpoint of a model and reads its configs; no weight is read. Throws, naming the file, what is missing or
 * wrong; with `onFault` missing and broken weights are told instead.
 */
export async function openModelFolder(name: string, options: OpenModelOptions = {}): Promise<ModelFolder> {
  const path = await resolveModel(name, options);
  const ar = parseAt(join(path, "config.json"), await readJson(join(path, "config.json")), parseArConfig);
  const optional = async <T>(file: string, parse: (json: unknown) => T): Promise<T> =>
    parseAt(join(path, file), await readJsonIfPresent(join(path, file)), parse);
  const vision = ar.tokenizer_config.vision_config;
  const preprocessor = await optional("preprocessor_config.json", (json) => parsePreprocessorConfig(json, vision));
  const generation = await optional("generation_config.json", parseGenerationConfig);
  const found = await locateParts(path, options);
  const opened: Checkpoint[] = [];
  const close = async () => {
    await Promise.all(opened.map((checkpoint) => checkpoint.close()));
  };
  const open = async (folder: string) => {
    const checkpoint = await openCheckpoint(folder, options);
    opened.push(checkpoint);
    return checkpoint;
  };
  const openPart = async <T>({ folder, json }: FoundPart, parse: (json: unknown) => T): Promise<ModelPart<T>> => ({
    folder,
    config: parseAt(join(folder, "config.json"), json, parse),
    weights: await open(folder),
  });
  try {
    const weights = await open(path);
    const transformers: ModelPart<DitConfig>[] = [];
    for (const part of found.transformers) transformers.push(await openPart(part, parseDitConfig));
    const autoencoder = found.autoencoder && (await openPart(found.autoencoder, parseAutoencoderConfig));
    const detokenizer = {
      ...assignTransformers(transformers, ar, generation.positions === "raster"),
      ...(autoencoder && { autoencoder }),
    };
    return { path, ar, preprocessor, generation, weights, detokenizer, close };
  } catch (error) {
    await close();
    throw error;
  }
}

/** Parses a config, its file's name in front of every complaint. */
function parseAt<T>(file: string, json: unknown, parse: (json: unknown) => T): T {
  try {
    return parse(json);
  } catch (error) {
    const message = error instanceof z.ZodError ? z.prettifyError(error) : (error as Error).message;
    throw new ModelError(`${file}: ${message}`);
  }
}

function parseArConfig(json: unknown): KeyeArConfig {
  const name = (json as { __class__?: unknown; _class_name?: unknown } | null)?.__class__;
  if (name === "SanaConfig") {
    throw new Error(
      "describes a diffusion transformer alone. Name the folder of the language model, and this one with `detokenizer` (--dit FOLDER)",
    );
  }
  return parseKeyeArConfig(json);
}

async function locateParts(path: string, options: PartFolders & FetchOptions) {
  const { detokenizer, autoencoder } = options;
  const inside = (await findParts(path)).filter(({ folder }) => folder !== path);
  const ofKind = (parts: readonly FoundPart[], kind: PartKind) => parts.filter((part) => part.kind === kind);
  const locate = async (name: string, kind: PartKind): Promise<FoundPart> => {
    const folder = await resolveModel(name, {
      ...options,
      ...(kind === "autoencoder" && { include: AUTOENCODER_FILES }),
    });
    const [part, ...more] = ofKind(await findParts(folder), kind);
    if (!part) throw new ModelError(`${folder}: neither it nor a sub-folder has a config.json of ${kindNames[kind]}`);
    if (part.folder !== folder && more.length > 0) {
      throw new ModelError(`${folder}: has several sub-folders of ${kindNames[kind]}. Name one of them`);
    }
    return part;
  };
  const transformers: FoundPart[] = [];
  for (const name of detokenizer === undefined ? [] : [detokenizer].flat()) {
    transformers.push(await locate(name, "transformer"));
  }
  const autoencoders = ofKind(inside, "autoencoder");
  if (autoencoder === undefined && autoencoders.length > 1) {
    const names = autoencoders.map(({ folder }) => folder).join(" and ");
    throw new ModelError(`${names} are autoencoders: name the one to use with \`autoencoder\` (--vae FOLDER)`);
  }
  return {
    transformers: detokenizer === undefined ? ofKind(inside, "transformer") : transformers,
    autoencoder: autoencoder === undefined ? autoencoders[0] : await locate(autoencoder, "autoencoder"),
  };
}

/** What is fetched of a repository that is named for its autoencoder: most hold other networks too, far larger ones. */
const AUTOENCODER_FILES = ["vae/*", "config.json", "diffusion_pytorch_model*.safetensors*"];

const kindNames: Readonly<Record<PartKind, string>> = {
  autoregressive: "an autoregressive model (KeyeARConfig)",
  transformer: "a diffusion transformer (SanaConfig)",
  autoencoder: "an autoencoder (AutoencoderDC)",
};
