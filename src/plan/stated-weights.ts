// Models with missing weights: these are assumed as the config declares them, in the precision that the file sizes
// imply. A plan treats such a model, or one that `convert` would make, like an opened one.

import type { Checkpoint, FileLocation } from "../checkpoint/checkpoint.ts";
import { ModelError } from "../errors.ts";
import { declareAutoencoder, declareMain, declareStoredTransformer, outputMatrices } from "../model/declare.ts";
import type { OpenedModel } from "../model/open.ts";
import { type Precision, planPrecision, type StoredForm } from "../quantize/precision.ts";
import { type TensorShape, tensorBytes } from "../quantize/safetensors-layout.ts";
import { countElements } from "../runtime/host-tensor.ts";
import type { QuantizedMatrix } from "../runtime/weight-source.ts";
import type { Parameter } from "../tensor/graph.ts";

type Stored = FileLocation | QuantizedMatrix<FileLocation>;

/** The model with every parameter present. `sizes` gives the bytes of all weights by folder, if known. */
export function withMissingWeights(model: OpenedModel, sizes: ReadonlyMap<string, number> = new Map()): OpenedModel {
  const whole = (checkpoint: Checkpoint, declared: readonly Parameter[], form: StoredForm) => {
    const missing = declared.filter(({ path }) => !checkpoint.find(path));
    return stateWeights(checkpoint, new Map(missing.map(({ path, shape }) => [path, locate(path, shape, form)])));
  };
  const guess = (folder: string, declared: readonly Parameter[]) => guessPrecision(sizes.get(folder), declared);
  const filled = new Map<Checkpoint, Checkpoint>();
  const precisions = new Map<Checkpoint, Guess>();
  const fill = (folder: string, checkpoint: Checkpoint, declared: readonly Parameter[]) => {
    const precision = guess(folder, declared);
    const complete = whole(checkpoint, declared, precision === "f32" ? "f32" : "bf16");
    filled.set(checkpoint, complete);
    precisions.set(complete, precision);
  };
  const { hidden, codes, autoencoder } = model.detokenizer;
  // Generation's name of the output matrix is enough; a checkpoint with training's name keeps it.
  const [, second] = outputMatrices;
  fill(
    model.path,
    model.weights,
    declareMain(model).filter(({ path }) => path !== second),
  );
  for (const part of new Set([hidden, codes])) {
    if (part) fill(part.folder, part.weights, declareStoredTransformer(part));
  }
  if (autoencoder) fill(autoencoder.folder, autoencoder.weights, declareAutoencoder(autoencoder));
  const complete = replaceWeights(model, (checkpoint) => filled.get(checkpoint)!);
  const [quantized] = [...precisions.values()].filter((guess) => guess === "int4" || guess === "int8");
  if (!quantized) return complete;
  return convertedModel(complete, { weights: quantized }, (checkpoint) =>
    ["int4", "int8"].includes(precisions.get(checkpoint)!),
  );
}

/** The model as `convert` would write it; only checkpoints selected by `isConverted` change. */
export function convertedModel(
  model: OpenedModel,
  precision: Precision,
  isConverted: (checkpoint: Checkpoint) => boolean = () => true,
): OpenedModel {
  const converted = new Map(
    planPrecision(model, precision).map(({ checkpoint, tensors }) => {
      const weights = new Map(tensors.map(({ name, shape, form }) => [name, locate(name, shape, form)]));
      return [checkpoint, { ...stateWeights(checkpoint, weights), names: () => [...weights.keys()].sort() }];
    }),
  );
  return replaceWeights(model, (checkpoint) => (isConverted(checkpoint) ? converted.get(checkpoint)! : checkpoint));
}

/** Bytes of missing weights: by the listed file sizes if known, else as the configs declare them. */
export function missingWeightBytes(model: OpenedModel, whole: OpenedModel, sizes: ReadonlyMap<string, number>): number {
  if (sizes.size > 0) return [...sizes.values()].reduce((sum, bytes) => sum + bytes, 0);
  const total = (of: OpenedModel) => checkpointsOf(of).reduce((sum, checkpoint) => sum + weightBytes(checkpoint), 0);
  return total(whole) - total(model);
}

function checkpointsOf({ weights, detokenizer: { hidden, codes, autoencoder } }: OpenedModel): Checkpoint[] {
  const parts = [hidden, codes, autoencoder].flatMap((part) => (part ? [part.weights] : []));
  return [...new Set([weights, ...parts])];
}

/** Bytes of a checkpoint's weights. */
export function weightBytes(checkpoint: Checkpoint): number {
  return checkpoint.names().reduce((sum, name) => {
    const found = checkpoint.find(name)!;
    return sum + ("scales" in found ? found.values.byteLength + found.scales.byteLength : found.byteLength);
  }, 0);
}

type Guess = "f32" | "bf16" | "int8" | "int4";

/** The precision implied by this many bytes for these parameters; bf16, as in the release, if unknown. */
function guessPrecision(bytes: number | undefined, declared: readonly Parameter[]): Guess {
  if (bytes === undefined) return "bf16";
  const each = bytes / declared.reduce((sum, { shape }) => sum + countElements(shape), 0);
  return each > 3 ? "f32" : each > 1.5 ? "bf16" : each > 0.9 ? "int8" : "int4";
}

/** A checkpoint with additional or replaced weights, which can be found but not read. */
function stateWeights(checkpoint: Checkpoint, stated: ReadonlyMap<string, Stored>): Checkpoint {
  return {
    path: checkpoint.path,
    files: checkpoint.files,
    names: () => [...new Set([...checkpoint.names(), ...stated.keys()])].sort(),
    find: (name) => stated.get(name) ?? checkpoint.find(name),
    read: (name, rows) => {
      if (!stated.has(name)) return checkpoint.read(name, rows);
      return Promise.reject(new ModelError(`${checkpoint.path}: ${name} is missing and cannot be read`));
    },
    close: () => checkpoint.close(),
  };
}

function replaceWeights(model: OpenedModel, replace: (checkpoint: Checkpoint) => Checkpoint): OpenedModel {
  const { hidden, codes, autoencoder } = model.detokenizer;
  const part = <T extends { readonly weights: Checkpoint }>(old: T): T => ({ ...old, weights: replace(old.weights) });
  const newHidden = hidden && part(hidden);
  const newCodes = codes === hidden ? newHidden : codes && part(codes);
  return {
    ...model,
    weights: replace(model.weights),
    detokenizer: {
      ...(newHidden && { hidden: newHidden }),
      ...(newCodes && { codes: newCodes }),
      ...(autoencoder && { autoencoder: part(autoencoder) }),
    },
  };
}

function locate(file: string, shape: readonly number[], form: StoredForm): Stored {
  const place = (tensor: TensorShape) => ({ ...tensor, file, byteOffset: 0, byteLength: tensorBytes(tensor) });
  if (typeof form === "string") return place({ dtype: form, shape });
  const { bits, block } = form;
  const [out, width] = shape as readonly [number, number];
  const blocks = width / block;
  return {
    ...form,
    shape: [out, width],
    values: place({ dtype: "u8", shape: [out, blocks, (block * bits) / 8] }),
    scales: place({ dtype: "f32", shape: [out, blocks] }),
  };
}
