// The training graph of the image tokenizer: images through encoder, projector and (if quantizing) codebooks to embeddings;
// from these, the answers of a jointly trained language model and the auxiliary heads' losses.

import * as z from "zod";
import type { KeyeArConfig } from "../../llm/config.ts";
import { decoderStack } from "../../llm/decoder.ts";
import { embeddingTable } from "../../llm/embedding.ts";
import { finalNorm, outputMatrix } from "../../llm/output.ts";
import { linear } from "../../nn/linear.ts";
import { layerNorm } from "../../nn/norm.ts";
import type { Graph } from "../../tensor/graph.ts";
import { concat, type Tensor } from "../../tensor/tensor.ts";
import { codeWidth } from "../../vision/config.ts";
import { visionEncoder } from "../../vision/encoder.ts";
import type { VisionLayout } from "../../vision/layout.ts";
import { projector } from "../../vision/projector.ts";
import { quantize } from "../../vision/quantizer.ts";
import { constantLayout } from "../constant-layout.ts";
import { mixSchema } from "../data/mix.ts";
import { sourceSchema } from "../data/own-data.ts";
import { crossEntropy } from "../loss/cross-entropy.ts";
import { meanOf, quantizerLosses } from "../loss/quantizer-loss.ts";
import { poolCodes } from "../pool-codes.ts";
import { packedTables, rowTables } from "../row-tables.ts";
import { pathSchema } from "../settings.ts";
import type { TracedLoss } from "../train-graph.ts";
import { targetsSchema, targetWidths } from "../vision-targets.ts";
import { classificationLosses, drawPixels, latentLoss, letterLoss, teacherLoss } from "./auxiliary-heads.ts";

export const dataSchema = z.strictObject({
  cache: pathSchema.optional(),
  source: sourceSchema.optional(),
  /** Folder of tokenizer.json. */
  tokenizer: pathSchema,
  /** Images of a batch. */
  batch: z.int().min(1).max(4096),
  /** Tokens of a row, including an image's positions; longer conversations lose their last turns. */
  length: z.int().min(16).max(16_384),
  /** So many rows hold the conversations of a batch, several in one. By default each has a row of its own. */
  packedRows: z.int().min(1).max(4096).optional(),
  /** Maximum answer tokens of a batch. */
  answers: z.int().min(1).max(1_000_000),
  /** Shares of the kinds of images. */
  mix: mixSchema,
});

const weight = z.number().min(0).max(1e6);

export const modelSchema = z.strictObject({
  config: z.record(z.string(), z.unknown()),
  quantize: z.boolean(),
  weights: z.strictObject({
    text: weight.default(1),
    pixels: weight.default(1),
    concept: weight.default(0),
    shape: weight.default(0),
    colour: weight.default(0),
    letter: weight.default(0),
    /** Need `targets.autoencoder` and `targets.teacher`. */
    latents: weight.default(0),
    teacher: weight.default(0),
    codebook: weight.default(1),
    commitment: weight.default(0.25),
  }),
  /** The frozen models whose latents and features are the targets. */
  targets: targetsSchema.prefault({}),
  /** With `quantize`: the vision stage's weights to which `encoder`, codebooks and up-projections are fitted, and its code width. */
  start: z
    .strictObject({
      weights: pathSchema,
      codeWidth: z.int().min(1).max(4096),
      /** How much the class heads' scores count in that fit, as a multiple of what looks and the teacher count together. */
      classes: z.number().min(0).max(1e6).default(0),
      /** Rounds of the search for a rotation of those features after which codes lose less; 300 find most of it. */
      rounds: z.int().min(0).max(10_000).default(0),
    })
    .optional(),
  /** Images used for that fit and for the codebooks' k-means. */
  kmeansImages: z.int().min(1).max(100_000).default(2048),
});

export type Data = z.infer<typeof dataSchema>;
export type Model = Omit<z.infer<typeof modelSchema>, "config"> & { readonly config: KeyeArConfig };

export interface EmbeddedImages {
  /** [M, D], the language model's inputs. */
  readonly embeddings: Tensor;
  /** When quantizing: codes i32 [M, N] and the quantizer's losses, averaged over the codebooks. */
  readonly codes?: Tensor;
  readonly quantizerLosses?: { readonly codebook: Tensor; readonly commitment: Tensor };
}

/** pixels [P, C*p*p] -> embeddings, with or without rounding to codes. */
export function embedImages(graph: Graph, pixels: Tensor, layout: VisionLayout, model: Model): EmbeddedImages {
  const config = model.config.tokenizer_config;
  const p = graph.params.at("visual_tokenizer");
  const features = visionEncoder(p.at("visual"), pixels, layout, config.vision_config);
  const projected = projector(p.at("mlp_AR"), features, layout.merge, config.llm_hidden_size);
  const ze = linear(p.at("encoder"), projected, config.n_q_tokens * codeWidth(config));
  const D = config.output_dim;
  const pool = { pool: "avg", amplifier: 1 } as const;
  if (!model.quantize) {
    const parts = ze.split(1, new Array<number>(config.n_q_tokens).fill(codeWidth(config)));
    const z = parts.map((part, i) => layerNorm(p.at("quantizer", i, "z_norm"), part, 1e-5));
    return { embeddings: poolCodes(p.at("up_projectors"), z, D, pool) };
  }
  const quantized = quantize(p, ze, config);
  const { codebook, commitment } = quantizerLosses(quantized);
  return {
    embeddings: poolCodes(p.at("up_projectors"), quantized.zq, D, pool),
    codes: quantized.codes,
    quantizerLosses: { codebook: meanOf(codebook), commitment: meanOf(commitment) },
  };
}

export function imageLayout(graph: Graph, model: Model, images: number): VisionLayout {
  const { vision_config: vision } = model.config.tokenizer_config;
  const side = vision.image_size / vision.patch_size;
  return constantLayout(
    graph,
    Array.from({ length: images }, () => ({ frames: 1, rows: side, columns: side })),
    vision,
  );
}

export function traceTokenizer(graph: Graph, model: Model, data: Data, concepts: number): TracedLoss {
  const vision = model.config.tokenizer_config.vision_config;
  const B = data.batch;
  const patchWidth = vision.num_channels * vision.patch_size ** 2;
  const pixels = graph.input("pixels", [B * (vision.image_size / vision.patch_size) ** 2, patchWidth]);
  const layout = imageLayout(graph, model, B);
  const images = embedImages(graph, pixels, layout, model);
  const wanted = pixels.gather(layout.merge).reshape([-1, 4 * patchWidth]);
  const pixelLoss = drawPixels(graph, images.embeddings, 4 * patchWidth)
    .sub(wanted)
    .square()
    .mean([0, 1]);
  const { embeddings } = images;
  const M = embeddings.size(0);
  const { weights } = model;
  const widths = targetWidths(model.targets);
  const losses: Partial<Record<keyof typeof weights, Tensor>> = {
    pixels: pixelLoss,
    ...classificationLosses(graph, embeddings, B, concepts),
    ...(weights.letter > 0 && { letter: letterLoss(graph, embeddings) }),
    ...(weights.latents > 0 && { latents: latentLoss(graph, embeddings, graph.input("latents", [M, widths.latents])) }),
    ...(weights.teacher > 0 && {
      teacher: teacherLoss(graph, embeddings, graph.input("teacher", [M, widths.teacher])),
    }),
    ...(hasText(model) && { text: traceAnswers(graph, model, data, embeddings) }),
    ...images.quantizerLosses,
  };
  const parts = Object.entries(losses).map(([name, loss]) => loss.mul(weights[name as keyof typeof weights]));
  return {
    loss: parts.reduce((a, b) => a.add(b)),
    reports: Object.fromEntries(Object.entries(losses).map(([name, loss]) => [`${name}Loss`, loss])),
  };
}

/** Without a weight on text there is no language model: the vision encoder is trained by the auxiliary heads alone. */
export function hasText({ weights }: Model): boolean {
  return weights.text > 0;
}

/** Sizes of a batch's conversations. */
export type AnswerSizes = Pick<Data, "batch" | "length" | "packedRows" | "answers">;

/** The language model's cross entropy of the answers, a mean over their tokens. embeddings [M, D] of all images. */
export function traceAnswers(
  graph: Graph,
  model: Pick<Model, "config">,
  { batch, length: T, packedRows, answers: R }: AnswerSizes,
  embeddings: Tensor,
): Tensor {
  const { qwen_config: qwen } = model.config;
  const B = packedRows ?? batch;
  const trunk = graph.params.at("model", "model");
  const entries = qwen.vocab_size + qwen.codebook_size;
  const table = embeddingTable(trunk.at("tok_embeddings", "embed_tokens"), entries, qwen.embed_dim).slice(
    0,
    0,
    qwen.vocab_size,
  );
  // Text ids name rows of the table, placeholders the rows of the images after it.
  const x = concat([table, embeddings], 0).gather(graph.input("ids", [B, T], "i32"));
  const { hidden } = decoderStack(trunk, x, {
    config: qwen,
    ...(packedRows === undefined ? rowTables(graph, T, qwen) : packedTables(graph, B, T, qwen)),
  });
  const scored = hidden
    .at(-1)!
    .reshape([B * T, qwen.embed_dim])
    .gather(graph.input("rows", [R], "i32"));
  const matrix = outputMatrix(trunk.at("output"), entries, qwen.embed_dim).slice(0, 0, qwen.vocab_size);
  const logits = finalNorm(trunk, scored, qwen.norm_eps).linear(matrix);
  graph.output("predicted", logits.argmax());
  const losses = crossEntropy(logits, graph.input("labels", [R], "i32"));
  return losses.mul(graph.input("weights", [R])).sum([0]);
}

export function pixelInput(graph: Graph, model: Model, images: number): { pixels: Tensor; layout: VisionLayout } {
  const vision = model.config.tokenizer_config.vision_config;
  const P = (vision.image_size / vision.patch_size) ** 2;
  return {
    pixels: graph.input("pixels", [images * P, vision.num_channels * vision.patch_size ** 2]),
    layout: imageLayout(graph, model, images),
  };
}
