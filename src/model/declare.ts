// Compares a model's folder with what its configs declare, by tracing every part; no weight is read.

import { type Checkpoint, findDifferences } from "../checkpoint/checkpoint.ts";
import { haveSameRows } from "../checkpoint/same-rows.ts";
import { decode, encode } from "../detokenizer/autoencoder.ts";
import { type AutoencoderConfig, type DitConfig, pixelsPerLatent } from "../detokenizer/config.ts";
import { transformerGraphs, withNullLength } from "../detokenizer/denoiser.ts";
import { ModelError } from "../errors.ts";
import { baseName } from "../files/model-files.ts";
import { type KeyeArConfig, languageModelConfig } from "../llm/config.ts";
import { declareLanguageModel } from "../llm/generation-graphs.ts";
import { isQuantized } from "../runtime/weight-source.ts";
import { Graph, type Parameter } from "../tensor/graph.ts";
import type { TokenizerConfig } from "../vision/config.ts";
import { declareTokenizer } from "../vision/tokenizer.ts";
import type { ModelPart, OpenedModel } from "./open.ts";

const unused = [
  /^visual_tokenizer\.visual\.embeddings\.packing_position_embedding\.weight$/,
  /^model\.model\.token_head\.final_norm\.(weight|bias)$/,
  /^pos_embed$/,
];

/** Whether the reference writes a tensor that nobody reads. */
export function isUnused(name: string, { vision_config }: TokenizerConfig): boolean {
  const isUnreadTable = name === POSITION_TABLE && !vision_config.has_learnable_position_embedding;
  return isUnreadTable || unused.some((pattern) => pattern.test(name));
}

/** The reference makes and stores it even where the config says that positions are not learned. */
const POSITION_TABLE = "visual_tokenizer.visual.embeddings.position_embedding.weight";

/** Generation multiplies by the first, training by the second; one is enough to run a model. */
export const outputMatrices = ["model.model.output.weight", "lm_head.weight"] as const;

const UP_PROJECTORS = "visual_tokenizer.up_projectors.";

/** Whether a checkpoint can turn codes into embeddings without the language model. Only drawing from codes alone needs it. */
export function hasUpProjectors(weights: Checkpoint): boolean {
  return weights.find(`${UP_PROJECTORS}0.weight`) !== undefined;
}

/** Throws one ModelError that lists everything missing, unknown or of another shape in any of the model's parts. */
export function checkModel(folder: OpenedModel): void {
  const faults = compareModel(folder);
  if (faults.length === 0) return;
  const text = faults.join(". ");
  const shown = text.length > MAX_FAULTS ? `${text.slice(0, MAX_FAULTS)}…` : text;
  throw new ModelError(`${shown}. Is this the right preset?`);
}

/** Characters of all faults of a model in one message. */
const MAX_FAULTS = 3000;

/** What checkModel throws, as one text for each part that does not fit. */
export function compareModel(model: OpenedModel): string[] {
  const { tokenizer, weights, detokenizer } = model;
  const { hidden, codes, autoencoder } = detokenizer;
  const compare = (declared: readonly Parameter[], source: Checkpoint): string[] => {
    if (source.files.length === 0) return []; // whoever opened it was told that there is nothing
    const wanted = declared.map(({ path, shape }) => ({ name: path, shape }));
    const faults = findDifferences(wanted, source, (name) => isUnused(name, tokenizer));
    return faults.length ? [`${baseName(source.path)} does not fit the model. ${faults.join("; ")}`] : [];
  };
  const transformers = [...new Set([hidden, codes])].filter((part) => part !== undefined);
  return [
    ...compare(withoutOptional(declareMain(model), weights), weights),
    ...transformers.flatMap((part) => compare(declareOf(part, declareStoredTransformer), part.weights)),
    ...(autoencoder ? compare(declareOf(autoencoder, declareAutoencoder), autoencoder.weights) : []),
    ...transformers.flatMap((part) => (autoencoder ? compareLatents(part, autoencoder) : [])),
  ];
}

/** Drawing would find this out when the language model has written all codes. */
function compareLatents(transformer: ModelPart<DitConfig>, autoencoder: ModelPart<AutoencoderConfig>): string[] {
  const [{ inChannels }, { latentChannels }] = [transformer.config, autoencoder.config];
  if (inChannels === latentChannels) return [];
  const names = [transformer, autoencoder].map(({ folder }) => baseName(folder));
  return [`${names[0]} makes latents of ${inChannels} channels, ${names[1]} reads ${latentChannels}`];
}

/**
 * Training changes one of the two output matrices, generation reads the other (the reference ties them by name only). Tells
 * when a checkpoint has both and they differ: answers then come from generation's.
 */
export async function warnOfTwoOutputs(weights: Checkpoint, onWarning?: (message: string) => void): Promise<void> {
  const [readName, otherName] = outputMatrices;
  const hasBoth = [readName, otherName].every((name) => {
    const found = weights.find(name);
    return found && !isQuantized(found);
  });
  if (!onWarning || !hasBoth || (await haveSameRows(weights, readName, otherName))) return;
  onWarning(`${baseName(weights.path)}: ${otherName} and ${readName} differ; ${readName} is used, as in the reference`);
}

/** The parameters without those that a checkpoint may lack and does lack. */
function withoutOptional(declared: readonly Parameter[], weights: Checkpoint): Parameter[] {
  const [preferred, other] = outputMatrices;
  const absent = weights.find(preferred) || !weights.find(other) ? other : preferred;
  const isAbsent = (path: string) =>
    (path === absent && !weights.find(path)) || (path.startsWith(UP_PROJECTORS) && !hasUpProjectors(weights));
  return declared.filter(({ path }) => !isAbsent(path));
}

/** The parameters of a folder's own checkpoint: an autoregressive model, or an image tokenizer alone. */
export function declareMain(model: Pick<OpenedModel, "path" | "ar" | "tokenizer">): Parameter[] {
  const declare = () => (model.ar ? declareAutoregressive(model.ar) : declareTokenizerAlone(model.tokenizer));
  return declareOf({ folder: model.path }, declare);
}

/** What a part declares. Sizes that make no model are told as its config's fault. */
function declareOf<T extends { readonly folder: string }>(part: T, declare: (part: T) => Parameter[]): Parameter[] {
  try {
    return declare(part);
  } catch (error) {
    // Tracing says in a sentence of its own which tensor cannot be.
    const message = error instanceof Error ? error.message : String(error);
    throw new ModelError(`${part.folder}/config.json describes no model: ${message}`, { cause: error });
  }
}

/** The parameters of a diffusion transformer whose null condition has the length that is stored. */
export function declareStoredTransformer({ config, weights }: Omit<ModelPart<DitConfig>, "folder">): Parameter[] {
  return declareTransformer(withNullLength(config, weights));
}

function declareTokenizerAlone(config: TokenizerConfig): Parameter[] {
  const graph = new Graph();
  declareTokenizer(graph, graph.params.at("visual_tokenizer"), config);
  return [...graph.parameters.values()];
}

/** The parameters of an autoregressive checkpoint, in both names of the output matrix. */
export function declareAutoregressive(ar: KeyeArConfig): Parameter[] {
  const graph = new Graph();
  declareTokenizer(graph, graph.params.at("visual_tokenizer"), ar.tokenizer_config);
  declareLanguageModel(graph, languageModelConfig(ar));
  return [...graph.parameters.values()];
}

/** The parameters of a diffusion transformer. */
export function declareTransformer(config: DitConfig): Parameter[] {
  const parameters = new Map(transformerGraphs(config).flatMap((graph) => [...graph.parameters]));
  return [...parameters.values()];
}

/** The parameters of an autoencoder, its encoder and its decoder. */
export function declareAutoencoder({ config }: { readonly config: AutoencoderConfig }): Parameter[] {
  const graph = new Graph();
  const side = pixelsPerLatent(config);
  decode(graph.params, encode(graph.params, graph.input("pixels", [1, config.inChannels, side, side]), config), config);
  return [...graph.parameters.values()];
}
