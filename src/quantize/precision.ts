// The stored precision of each tensor: decided by how the model's graphs read it, then by measured accuracy
// (docs/decisions/0004-quantised-weights.md).

import { isAbsolute, relative } from "node:path";
import type { Checkpoint } from "../checkpoint/checkpoint.ts";
import type { DitConfig } from "../detokenizer/config.ts";
import { transformerGraphs, withNullLength } from "../detokenizer/denoiser.ts";
import { type KeyeArConfig, languageModelConfig } from "../llm/config.ts";
import { generationGraphs, type MatrixName } from "../llm/generation-graphs.ts";
import { isUnused, outputMatrices } from "../model/declare.ts";
import { languageConfig, type ModelPart, type OpenedModel } from "../model/open.ts";
import { type BlockFormat, isQuantized } from "../runtime/weight-source.ts";
import { Graph } from "../tensor/graph.ts";
import { bookRows } from "../vision/quantizer.ts";
import { declareTokenizer } from "../vision/tokenizer.ts";
import type { weightFormats } from "./options.ts";
import { quantizableWeights } from "./quantizable-weights.ts";

export type WeightFormat = (typeof weightFormats)[number];

/** How one tensor is stored. */
export type StoredForm = "bf16" | "f32" | BlockFormat;

/** The plan for one tensor. */
export interface TensorPlan {
  readonly name: string;
  readonly shape: readonly number[];
  readonly form: StoredForm;
  /** The rows that the model reads, if only some: the others are stored as zeros. */
  readonly rows?: readonly [start: number, end: number];
}

/** The plan for one of a model's checkpoints. */
export interface PartPlan {
  /** Its place inside the model's folder: "" for the autoregressive checkpoint, else for example "dit" or "vae". */
  readonly folder: string;
  readonly checkpoint: Checkpoint;
  readonly tensors: readonly TensorPlan[];
  /** Tensors left out because a running model does not read them. */
  readonly dropped: readonly string[];
}

export interface Precision {
  readonly weights: WeightFormat;
  /** For matrices whose rows are multiples of it; by default chosen per matrix by usualBlock. */
  readonly block?: BlockFormat["block"];
}

/** From this width products are bound by reading, which larger blocks reduce. Shorter rows belong to small models. */
const LONG_ROW = 1024;

/**
 * The block for matrices with rows of this many elements: at 4 bits, where it matters, the finer one for short rows, else the
 * faster one.
 */
function usualBlock(bits: BlockFormat["bits"], width: number): BlockFormat["block"] {
  return bits === 4 && width < LONG_ROW ? 32 : 128;
}

/** Plans every tensor: matrices at the requested precision as far as they tolerate it, all else at 16 bits. No weight is read. */
export function planPrecision(model: OpenedModel, precision: Precision): PartPlan[] {
  const { tokenizer, weights, detokenizer } = model;
  const ar = languageConfig(model);
  const { hidden, codes, autoencoder } = detokenizer;
  const transformer = (part: ModelPart<DitConfig>, name: string) => {
    const quantizable = quantizableWeights(transformerGraphs(withNullLength(part.config, part.weights)));
    return { folder: placeOf(part, name, model), checkpoint: part.weights, quantizable };
  };
  const parts = [
    { folder: "", checkpoint: weights, quantizable: quantizableWeights(autoregressiveGraphs(ar, weights)) },
    ...(hidden ? [transformer(hidden, "dit")] : []),
    ...(codes && codes !== hidden ? [transformer(codes, "aedit")] : []),
    // The autoencoder is mostly convolutions; its matrices multiply from the left, which no quantised kernel supports.
    ...(autoencoder
      ? [
          {
            folder: placeOf(autoencoder, "vae", model),
            checkpoint: autoencoder.weights,
            quantizable: new Map<string, readonly number[]>(),
          },
        ]
      : []),
  ];
  return parts.map(({ folder, checkpoint, quantizable }) => {
    const isDropped = (name: string) => isUnused(name, tokenizer) || isSecondMatrix(name, checkpoint, precision);
    const names = checkpoint.names();
    const tensors = names
      .filter((name) => !isDropped(name))
      .map((name): TensorPlan => {
        // A 1 x 1 convolution that was quantised as a matrix gets its own shape back.
        const shape = quantizable.get(name) ?? checkpoint.find(name)!.shape;
        const form = quantizable.has(name) ? matrixForm(name, shape, precision) : "bf16";
        const rows = rowsRead(name, ar);
        const plan = { name, shape, form: shape.length < 2 ? vectorForm(name, checkpoint) : form };
        return rows && rows[1] - rows[0] < shape[0]! ? { ...plan, rows } : plan;
      });
    return { folder, checkpoint, tensors, dropped: names.filter(isDropped) };
  });
}

/** A part's place inside the model's folder; one stored elsewhere gets the usual place of its kind. */
function placeOf({ folder }: ModelPart<unknown>, usual: string, { path }: OpenedModel): string {
  const place = relative(path, folder);
  return place.startsWith("..") || isAbsolute(place) ? usual : place;
}

/** The graphs of the tokenizer and of generation, as run. */
function autoregressiveGraphs(ar: KeyeArConfig, weights: Checkpoint): Graph[] {
  const tokenizer = new Graph();
  declareTokenizer(tokenizer, tokenizer.params.at("visual_tokenizer"), ar.tokenizer_config);
  const matrix: MatrixName = weights.find(outputMatrices[0]) ? "output" : "lmHead";
  const generation = Object.values(generationGraphs).map((trace) => {
    const graph = new Graph();
    trace(graph, languageModelConfig(ar), matrix);
    return graph;
  });
  return [tokenizer, ...generation];
}

/** The language model's layers are most of the bytes and tolerate 4 bits. Elsewhere 4 bits hurt, and 8 cost little. */
const bearsFourBits = /^model\.model\.layers\./;
/**
 * The codebooks' projections: moving entries changes which is nearest, for 2 % of all codes at 8 bits. The encoder's table of
 * positions is small.
 */
const staysPrecise = /^visual_tokenizer\.(quantizer|visual\.embeddings\.position_embedding)\./;

/** The form of a matrix [out, in] that the graphs can read in blocks. */
export function matrixForm(name: string, shape: readonly number[], precision: Precision): StoredForm {
  const { weights } = precision;
  const width = shape[1]!;
  const bits = weights === "int4" && bearsFourBits.test(name) ? 4 : 8;
  const wanted = precision.block ?? usualBlock(bits, width);
  // Rows that are not a multiple of the wanted block take the small one.
  const block = ([wanted, 32] as const).find((size) => width % size === 0);
  return weights === "bf16" || staysPrecise.test(name) || !block ? "bf16" : { bits, block };
}

/** Vectors are small: they keep their precision. */
function vectorForm(name: string, checkpoint: Checkpoint): StoredForm {
  const found = checkpoint.find(name)!;
  return !isQuantized(found) && found.dtype === "f32" ? "f32" : "bf16";
}

/** Training's output matrix, if generation has its own: quantised models are not trained. */
function isSecondMatrix(name: string, checkpoint: Checkpoint, { weights }: Precision): boolean {
  const [used, second] = outputMatrices;
  return weights !== "bf16" && name === second && checkpoint.find(used) !== undefined;
}

/** The rows of partly read tables that the model can ever read. */
function rowsRead(name: string, ar: KeyeArConfig): readonly [number, number] | undefined {
  const book = /^visual_tokenizer\.quantizer\.(\d+)\.embedding\.weight$/.exec(name);
  if (book) return bookRows(Number(book[1]), ar.tokenizer_config);
  if (name === "model.model.token_head.position_embedding.weight") return [0, ar.qwen_config.n_q_tokens + 1];
  return undefined;
}
