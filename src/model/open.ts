// Opens a model: the autoregressive checkpoint at the top of its files and, in sub-folders or elsewhere, what images are drawn
// with: diffusion transformers and an autoencoder. No weight is read.

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
import { ModelError, quote } from "../errors.ts";
import type { ModelFiles } from "../files/model-files.ts";
import { type KeyeArConfig, parseKeyeArConfig } from "../llm/config.ts";
import type { TextFiles } from "../text/load-text.ts";
import { parseTokenizerConfig, type TokenizerConfig } from "../vision/config.ts";
import type { Adapter } from "./adapter.ts";
import {
  type GenerationConfig,
  type PreprocessorConfig,
  parseGenerationConfig,
  parsePreprocessorConfig,
} from "./config.ts";
import { assignTransformers, classOf, type FoundPart, findParts, kindOf, type PartKind, type Widths } from "./parts.ts";

/** A network with its weights. */
export interface ModelPart<Config> {
  /** As `path` of the model. */
  readonly folder: string;
  /** Absent of a part that is not stored. */
  readonly files?: ModelFiles;
  readonly config: Config;
  readonly weights: Checkpoint;
}

/** What images are drawn with. Each may be absent: a model that only understands has none of them. */
export interface DetokenizerParts {
  /** Draws from the language model's hidden states. */
  readonly hidden?: ModelPart<DitConfig>;
  /** Draws from codes alone; the same transformer as `hidden` in models that have one for both. */
  readonly codes?: ModelPart<DitConfig>;
  readonly autoencoder?: ModelPart<AutoencoderConfig>;
}

/** All that running a model needs, and no platform. */
export interface OpenedModel {
  /** Its folder or address, for messages. */
  readonly path: string;
  readonly files?: ModelFiles;
  /** Absent where there is an image tokenizer alone. */
  readonly ar?: KeyeArConfig;
  readonly tokenizer: TokenizerConfig;
  readonly preprocessor: PreprocessorConfig;
  readonly generation: GenerationConfig;
  readonly weights: Checkpoint;
  readonly detokenizer: DetokenizerParts;
  /** Tokenizer and chat template, once loadModel has read them. */
  readonly text?: TextFiles;
  /** Beside the language model, once loadModel has read it. */
  readonly adapter?: Adapter;
  /** Fields of its configs that were skipped, each after its file: "dit/config.json: new_field". */
  readonly unknownFields: readonly string[];
  close(): Promise<void>;
}

/** Where the parts are that are not in sub-folders of the model's. Names as for the model itself. */
export interface PartFolders {
  /** Diffusion transformers, in place of those in sub-folders. */
  readonly detokenizer?: string | readonly string[];
  /** The autoencoder, in place of one in a sub-folder. */
  readonly autoencoder?: string;
}

/** The same, found. */
export interface PartFiles {
  readonly detokenizer?: readonly ModelFiles[] | undefined;
  readonly autoencoder?: ModelFiles | undefined;
}

/** What is fetched of a repository that is named for its autoencoder: most hold other networks too, far larger ones. */
const AUTOENCODER_FILES = ["vae/*", "config.json", "diffusion_pytorch_model*.safetensors*"];

/** Finds the parts that are named, each with `find`. */
export async function findPartFiles(
  { detokenizer, autoencoder }: PartFolders,
  find: (name: string, include?: readonly string[]) => Promise<ModelFiles>,
): Promise<PartFiles> {
  const transformers: ModelFiles[] = [];
  for (const name of [detokenizer ?? []].flat()) transformers.push(await find(name));
  return {
    ...(detokenizer !== undefined && { detokenizer: transformers }),
    ...(autoencoder !== undefined && { autoencoder: await find(autoencoder, AUTOENCODER_FILES) }),
  };
}

/**
 * Opens every checkpoint of a model and reads its configs; no weight is read. Throws, naming the file, what is missing or
 * wrong; with `onFault` missing and broken weights are told instead.
 */
export async function openModel(
  files: ModelFiles,
  elsewhere: PartFiles = {},
  options: OpenCheckpointOptions = {},
): Promise<OpenedModel> {
  const path = files.name;
  const unknownFields: string[] = [];
  const configFile = files.nameOf("config.json");
  const root = configFile.slice(0, -"config.json".length);
  const skip = (file: string): OnUnknown => {
    const shown = file.startsWith(root) ? file.slice(root.length) : file;
    return (fields) => unknownFields.push(...fields.map((field) => `${shown}: ${field}`));
  };
  const { ar, tokenizer } = parseMainConfig(await readJson(files, "config.json"), configFile, skip(configFile));
  /** Of what may be absent. */
  const read = async <T>(name: string, parse: (json: unknown, file: string, onUnknown: OnUnknown) => T) =>
    parse(await readJsonIfPresent(files, name), files.nameOf(name), skip(files.nameOf(name)));
  const preprocessor = await read("preprocessor_config.json", (json, ...told) =>
    parsePreprocessorConfig(json, tokenizer.vision_config, ...told),
  );
  const generation = await read("generation_config.json", (json, ...told) =>
    parseGenerationConfig(json, ar?.qwen_config.max_seq_len, ...told),
  );
  if (ar) refuseTooManyPositions(preprocessor, ar, files.nameOf("preprocessor_config.json"));
  const found = await locateParts(files, elsewhere);
  const opened: Checkpoint[] = [];
  const close = async () => {
    await Promise.all(opened.map((checkpoint) => checkpoint.close()));
  };
  const open = async (own: ModelFiles) => {
    const checkpoint = await openCheckpoint(own, options);
    opened.push(checkpoint);
    return checkpoint;
  };
  const openPart = async <T>(
    { files: own, json }: FoundPart,
    parse: (json: unknown, file: string, onUnknown: OnUnknown) => T,
  ): Promise<ModelPart<T>> => {
    const file = own.nameOf("config.json");
    return { folder: own.name, files: own, config: parse(json, file, skip(file)), weights: await open(own) };
  };
  try {
    const stored = await open(files);
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
    return { path, files, ...configs, weights, detokenizer, unknownFields, close };
  } catch (error) {
    await close();
    throw error;
  }
}

/** config.json of a whole model, or of an image tokenizer alone. */
function parseMainConfig(json: unknown, file: string, onUnknown: OnUnknown): Pick<OpenedModel, "ar" | "tokenizer"> {
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
export function describeUnknownFields({ path, unknownFields }: Pick<OpenedModel, "path" | "unknownFields">): string {
  const [names, verb] = unknownFields.length === 1 ? ["a field", "was"] : [`${unknownFields.length} fields`, "were"];
  return `${path}: ${names} of its configs that this version does not know ${verb} skipped: ${shorten(unknownFields, MAX_FIELDS)}`;
}

/** Names of fields in one message. */
const MAX_FIELDS = 10;

/** The language model's config. Throws, saying what is missing, where the folder holds an image tokenizer alone. */
export function languageConfig({ ar, path }: Pick<OpenedModel, "ar" | "path">): KeyeArConfig {
  if (ar) return ar;
  throw new ModelError(
    `${path} holds an image tokenizer alone (KeyeTokenizerConfig) and no language model: it can tokenize and reconstruct images. Name the folder of the whole model`,
    { code: "missing_part" },
  );
}

async function locateParts(files: ModelFiles, { detokenizer, autoencoder }: PartFiles) {
  const inside = (await findParts(files)).filter((part) => part.files !== files);
  const ofKind = (parts: readonly FoundPart[], kind: PartKind) => parts.filter((part) => part.kind === kind);
  const locate = async (own: ModelFiles, kind: PartKind): Promise<FoundPart> => {
    const [part, ...more] = ofKind(await findParts(own), kind);
    if (!part) throw new ModelError(`${own.name}: neither it nor a sub-folder has a config.json of ${kindNames[kind]}`);
    if (part.files !== own && more.length > 0) {
      throw new ModelError(`${own.name}: has several sub-folders of ${kindNames[kind]}. Name one of them`);
    }
    return part;
  };
  const transformers: FoundPart[] = [];
  for (const own of detokenizer ?? []) transformers.push(await locate(own, "transformer"));
  const autoencoders = ofKind(inside, "autoencoder");
  if (autoencoder === undefined && autoencoders.length > 1) {
    const names = autoencoders.map((part) => part.files.name).join(" and ");
    throw new ModelError(`${names} are autoencoders: name the one to use with \`autoencoder\` (--vae FOLDER)`);
  }
  return {
    transformers: detokenizer === undefined ? ofKind(inside, "transformer") : transformers,
    autoencoder: autoencoder === undefined ? autoencoders[0] : await locate(autoencoder, "autoencoder"),
  };
}

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
