// Facts about a model, read from its configs and the headers of its files; no weight is read.

import type { Checkpoint, CheckpointFile } from "../checkpoint/checkpoint.ts";
import { precisionOf } from "../checkpoint/precision.ts";
import { pixelsPerLatent } from "../detokenizer/config.ts";
import { countElements } from "../runtime/host-tensor.ts";
import { bookSize } from "../vision/config.ts";
import { hasUpProjectors } from "./declare.ts";
import { canDraw, findDetokenizer } from "./drawing.ts";
import type { OpenedModel } from "./open.ts";

const partNames = ["vision", "languageModel", "diffusionTransformer", "codesTransformer", "autoencoder"] as const;
export type PartName = (typeof partNames)[number];

/** One network of a model. */
export interface PartInfo {
  readonly part: PartName;
  readonly folder: string;
  readonly parameters: number;
  /** Of its weights. */
  readonly sizeBytes: number;
  /** How they are stored, the form of most bytes first: "bf16", "int4 block 32". */
  readonly precisions: readonly { readonly precision: string; readonly sizeBytes: number }[];
}

/** What is known of a model. */
export interface ModelInfo {
  readonly path: string;
  /** 0 for a part that the model does not have. */
  readonly parameters: Readonly<Record<PartName, number>>;
  readonly parts: readonly PartInfo[];
  readonly files: readonly CheckpointFile[];
  readonly codebooks: number;
  readonly codesPerBook: number;
  /** Of the language model; 0 where there is none. */
  readonly vocabulary: number;
  readonly width: number;
  readonly layers: number;
  /** Positions that a conversation and its answer may take; 0 where there is no language model. */
  readonly context: number;
  /** Rows and columns of codes of the images that it draws. */
  readonly imageGrid: readonly [rows: number, columns: number];
  /** Of the images that it draws, in pixels; absent where it draws none. */
  readonly imageSize?: readonly [width: number, height: number];
  /** How it draws where an option of `imagine` is absent. */
  readonly drawing: Readonly<Record<"steps" | "guidance" | "temperature" | "topK" | "topP", number>>;
  /** Which calls it has all parts for. */
  readonly can: Readonly<Record<"chat" | "imagine" | "reconstruct" | "embed", boolean>>;
  /** Fields of its configs that are not known here and were skipped: "config.json: qwen_config.new_field". */
  readonly unknownFields: readonly string[];
}

/** Counts what the files hold. A transformer that draws from hidden states and from codes is one part. */
export function describeModel(model: OpenedModel): ModelInfo {
  const { path, ar, tokenizer, weights, detokenizer, generation, unknownFields } = model;
  const { hidden, codes, autoencoder } = detokenizer;
  const { grid, steps, guidance, temperature, top_k: topK, top_p: topP } = generation.imagine;
  const isVision = (name: string) => name.startsWith("visual_tokenizer.");
  const parts = [
    describePart("vision", path, weights, isVision),
    ...(ar ? [describePart("languageModel", path, weights, (name) => !isVision(name))] : []),
    ...(hidden ? [describePart("diffusionTransformer", hidden.folder, hidden.weights)] : []),
    ...(codes && codes !== hidden ? [describePart("codesTransformer", codes.folder, codes.weights)] : []),
    ...(autoencoder ? [describePart("autoencoder", autoencoder.folder, autoencoder.weights)] : []),
  ];
  const parametersOf = (name: PartName) => parts.find(({ part }) => part === name)?.parameters ?? 0;
  const checkpoints = new Set(
    [{ weights }, hidden, codes, autoencoder].flatMap((part) => (part ? [part.weights] : [])),
  );
  return {
    path,
    parameters: Object.fromEntries(partNames.map((name) => [name, parametersOf(name)])) as ModelInfo["parameters"],
    parts,
    files: [...checkpoints].flatMap(({ files }) =>
      files.map((file) => ({ path: file.path, sizeBytes: file.sizeBytes })),
    ),
    codebooks: tokenizer.n_q_tokens,
    codesPerBook: bookSize(tokenizer),
    vocabulary: ar?.qwen_config.vocab_size ?? 0,
    width: ar?.qwen_config.embed_dim ?? 0,
    layers: ar?.qwen_config.num_layers ?? 0,
    context: ar?.qwen_config.max_seq_len ?? 0,
    imageGrid: grid,
    ...drawnSize(model),
    drawing: { steps, guidance, temperature, topK, topP },
    can: {
      chat: ar !== undefined,
      imagine: ar !== undefined && canDraw(model, "hidden"),
      reconstruct: canDraw(model, "codes"),
      embed: hasUpProjectors(weights),
    },
    unknownFields,
  };
}

function drawnSize(model: OpenedModel): Pick<ModelInfo, "imageSize"> {
  const found = findDetokenizer(model, "hidden");
  if (found instanceof Error) return {};
  const [rows, columns] = found.settingsFor(model.generation.imagine.grid).latentGrid;
  const scale = pixelsPerLatent(found.autoencoder.config);
  return { imageSize: [columns * scale, rows * scale] };
}

function describePart(
  part: PartName,
  folder: string,
  weights: Checkpoint,
  isIncluded: (name: string) => boolean = () => true,
): PartInfo {
  const bytes = new Map<string, number>();
  let parameters = 0;
  for (const name of weights.names().filter(isIncluded)) {
    const weight = weights.find(name)!;
    const { label, bytesPerElement } = precisionOf(weight);
    const elements = countElements(weight.shape);
    parameters += elements;
    bytes.set(label, (bytes.get(label) ?? 0) + elements * bytesPerElement);
  }
  const precisions = [...bytes].map(([precision, sizeBytes]) => ({ precision, sizeBytes }));
  precisions.sort((a, b) => b.sizeBytes - a.sizeBytes);
  return {
    part,
    folder,
    parameters,
    sizeBytes: precisions.reduce((sum, { sizeBytes }) => sum + sizeBytes, 0),
    precisions,
  };
}
