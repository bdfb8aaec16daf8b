// Facts about a model, read from its configs and the headers of its files; no weight is read.

import type { Checkpoint, CheckpointFile } from "../checkpoint/checkpoint.ts";
import { precisionOf } from "../checkpoint/precision.ts";
import { countElements } from "../runtime/host-tensor.ts";
import { bookSize } from "../vision/config.ts";
import type { OpenedModel } from "./open.ts";

export type PartName = "vision" | "languageModel" | "diffusionTransformer" | "codesTransformer" | "autoencoder";

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
  /** Fields of its configs that are not known here and were skipped: "config.json: qwen_config.new_field". */
  readonly unknownFields: readonly string[];
}

/** Counts what the files hold. A transformer that draws from hidden states and from codes is one part. */
export function describeModel({ path, ar, tokenizer, weights, detokenizer, unknownFields }: OpenedModel): ModelInfo {
  const { hidden, codes, autoencoder } = detokenizer;
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
    parameters: {
      vision: parametersOf("vision"),
      languageModel: parametersOf("languageModel"),
      diffusionTransformer: parametersOf("diffusionTransformer"),
      codesTransformer: parametersOf("codesTransformer"),
      autoencoder: parametersOf("autoencoder"),
    },
    parts,
    files: [...checkpoints].flatMap(({ files }) =>
      files.map((file) => ({ path: file.path, sizeBytes: file.sizeBytes })),
    ),
    codebooks: tokenizer.n_q_tokens,
    codesPerBook: bookSize(tokenizer),
    vocabulary: ar?.qwen_config.vocab_size ?? 0,
    width: ar?.qwen_config.embed_dim ?? 0,
    layers: ar?.qwen_config.num_layers ?? 0,
    unknownFields,
  };
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
