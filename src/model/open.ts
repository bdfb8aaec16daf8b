// A model's folder: the autoregressive checkpoint at its top and, in sub-folders or elsewhere, what images are drawn with:
// diffusion transformers and an autoencoder. Names that the package ships or the Hub has are resolved to their folders.

import { stat } from "node:fs/promises";
import { join, relative } from "node:path";
import { fileURLToPath } from "node:url";
import { type Checkpoint, type OpenCheckpointOptions, openCheckpoint, withPrefix } from "../checkpoint/checkpoint.ts";
import { readJson, readJsonIfPresent } from "../checkpoint/json-file.ts";
import type { OnUnknown } from "../checkpoint/parse-config.ts";
import { shorten } from "../checkpoint/shorten.ts";
import {
  type AutoencoderConfig,
  type DitConfig,
  parseAutoencoderConfig,
  parseDitConfig,
} from "../detokenizer/config.ts";
import { excerpt, FetchError, ModelError, quote } from "../errors.ts";
import type { FetchOptions } from "../hub/fetch-files.ts";
import { parseHubName } from "../hub/hub-name.ts";
import { openHubModel } from "../hub/pull.ts";
import { type KeyeArConfig, parseKeyeArConfig } from "../llm/config.ts";
import type { PullOptions } from "../options.ts";
import { parseTokenizerConfig, type TokenizerConfig } from "../vision/config.ts";
import {
  type GenerationConfig,
  type PreprocessorConfig,
  parseGenerationConfig,
  parsePreprocessorConfig,
} from "./config.ts";
import { assignTransformers, classOf, type FoundPart, findParts, kindOf, type PartKind, type Widths } from "./parts.ts";

/** Models that the package ships. */
export const builtInModels = ["kelix-nano"] as const;

/** From the sources (src) as from the build (dist) the package's root is one folder up. */
const modelsFolder = fileURLToPath(new URL("../../models/", import.meta.url));

/** A network with its weights. */
export interface ModelPart<Config> {
  readonly folder: string;
  readonly config: Config;
  readonly weights: Checkpoint;
}

/** What images are drawn with. Each may be absent: a model that only understands has none of them. */
export interface DetokenizerFolder {
  /** Draws from the language model's hidden states. */
  readonly hidden?: ModelPart<DitConfig>;
  /** Draws from codes alone; the same transformer as `hidden` in models that have one for both. */
  readonly codes?: ModelPart<DitConfig>;
  readonly autoencoder?: ModelPart<AutoencoderConfig>;
}

export interface ModelFolder {
  readonly path: string;
  /** Absent where the folder holds an image tokenizer alone. */
  readonly ar?: KeyeArConfig;
  readonly tokenizer: TokenizerConfig;
  readonly preprocessor: PreprocessorConfig;
  readonly generation: GenerationConfig;
  readonly weights: Checkpoint;
  readonly detokenizer: DetokenizerFolder;
  /** Fields of its configs that were skipped, each after its file: "dit/config.json: new_field". */
  readonly unknownFields: readonly string[];
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
  const unknownFields: string[] = [];
  const skip = (file: string): OnUnknown => {
    const place = relative(path, file);
    const shown = place.startsWith("..") ? file : place;
    return (fields) => unknownFields.push(...fields.map((field) => `${shown}: ${field}`));
  };
  const configFile = join(path, "config.json");
  const { ar, tokenizer } = parseMainConfig(await readJson(configFile), configFile, skip(configFile));
  const preprocessorFile = join(path, "preprocessor_config.json");
  const preprocessor = parsePreprocessorConfig(
    await readJsonIfPresent(preprocessorFile),
    tokenizer.vision_config,
    preprocessorFile,
    skip(preprocessorFile),
  );
  const generationFile = join(path, "generation_config.json");
  const generation = parseGenerationConfig(
    await readJsonIfPresent(generationFile),
    ar?.qwen_config.max_seq_len,
    generationFile,
    skip(generationFile),
  );
  if (ar) refuseTooManyPositions(preprocessor, ar, preprocessorFile);
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
  const openPart = async <T>(
    { folder, json }: FoundPart,
    parse: (json: unknown, file: string, onUnknown: OnUnknown) => T,
  ): Promise<ModelPart<T>> => {
    const file = join(folder, "config.json");
    return { folder, config: parse(json, file, skip(file)), weights: await open(folder) };
  };
  try {
    const stored = await open(path);
    // A tokenizer's own checkpoint has its names without the part that it is of a whole model.
    const weights = ar ? stored : withPrefix(stored, "visual_tokenizer.");
    const transformers: ModelPart<DitConfig>[] = [];
    for (const part of found.transformers) transformers.push(await openPart(part, parseDitConfig));
    const autoencoder = found.autoencoder && (await openPart(found.autoencoder, parseAutoencoderConfig));
    const detokenizer = {
      ...assignTransformers(transformers, widthsOf(tokenizer, ar), generation.positions === "raster"),
      ...(autoencoder && { autoencoder }),
    };
    const configs = { ...(ar && { ar }), tokenizer, preprocessor, generation };
    return { path, ...configs, weights, detokenizer, unknownFields, close };
  } catch (error) {
    await close();
    throw error;
  }
}

/** config.json of a whole model, or of an image tokenizer alone. */
function parseMainConfig(json: unknown, file: string, onUnknown: OnUnknown): Pick<ModelFolder, "ar" | "tokenizer"> {
  const kind = kindOf(json);
  const name = classOf(json);
  if (kind === "transformer" || kind === "autoencoder") {
    throw new ModelError(
      `${file}: describes ${kindNames[kind]} alone. Name the folder of the language model, and this one with ${partFlags[kind]}`,
    );
  }
  if (name !== undefined && kind === undefined) {
    throw new ModelError(`${file}: describes a ${quote(name)}, wanted ${kindNames.autoregressive}`, {
      code: "unsupported_model",
    });
  }
  const tokenizer = kind === "tokenizer" ? parseTokenizerConfig(json, file, onUnknown) : undefined;
  const ar = tokenizer ? undefined : parseKeyeArConfig(json, file, onUnknown);
  const config = tokenizer ?? ar!.tokenizer_config;
  const { vision_config } = config;
  if (vision_config.num_channels !== COLOURS) {
    throw new ModelError(
      `${file}: vision_config.num_channels is ${vision_config.num_channels}, which is not supported: only ${COLOURS}`,
      { code: "unsupported_model" },
    );
  }
  return { ...(ar && { ar }), tokenizer: config };
}

/** Channels of an image. */
const COLOURS = 3;

/** An image that is enlarged beyond what the language model reads could never be asked about. */
function refuseTooManyPositions(preprocessor: PreprocessorConfig, { qwen_config }: KeyeArConfig, file: string): void {
  const { patch_size, merge_size, min_pixels } = preprocessor;
  const positions = Math.ceil(min_pixels / (patch_size * merge_size) ** 2);
  if (positions < qwen_config.max_seq_len) return;
  throw new ModelError(
    `${file}: min_pixels ${min_pixels} makes ${positions} positions of an image, the language model reads at most ${qwen_config.max_seq_len}`,
  );
}

function widthsOf({ output_dim: codes }: TokenizerConfig, ar: KeyeArConfig | undefined): Widths {
  return ar ? { hidden: ar.qwen_config.embed_dim, codes } : { codes };
}

/** One sentence about fields of a model's configs that were skipped. */
export function describeUnknownFields({ path, unknownFields }: Pick<ModelFolder, "path" | "unknownFields">): string {
  const [names, verb] = unknownFields.length === 1 ? ["a field", "was"] : [`${unknownFields.length} fields`, "were"];
  return `${path}: ${names} of its configs that this version does not know ${verb} skipped: ${shorten(unknownFields, MAX_FIELDS)}`;
}

/** Names of fields in one message. */
const MAX_FIELDS = 10;

/** The language model's config. Throws, saying what is missing, where the folder holds an image tokenizer alone. */
export function languageConfig({ ar, path }: Pick<ModelFolder, "ar" | "path">): KeyeArConfig {
  if (ar) return ar;
  throw new ModelError(
    `${path} holds an image tokenizer alone (KeyeTokenizerConfig) and no language model: it can tokenize and reconstruct images. Name the folder of the whole model`,
    { code: "missing_part" },
  );
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
  tokenizer: "an image tokenizer (KeyeTokenizerConfig)",
  transformer: "a diffusion transformer (SanaConfig)",
  autoencoder: "an autoencoder (AutoencoderDC)",
};

/** How each of what images are drawn with is named. */
const partFlags = {
  transformer: "`detokenizer` (--dit FOLDER)",
  autoencoder: "`autoencoder` (--vae FOLDER)",
} as const;
