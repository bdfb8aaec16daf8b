// Auxiliary heads for training the image tokenizer, so that embeddings keep what matters. Per position, from its embedding:
// its pixels, its autoencoder latents, its teacher features, its letter. Per image, from the mean of its embeddings:
// the concept of an emoji, the shape and the colour if all objects are alike. None is part of the finished model.

import { linear } from "../../nn/linear.ts";
import { layerNorm } from "../../nn/norm.ts";
import { f32, type HostTensor, i32 } from "../../runtime/host-tensor.ts";
import type { Graph } from "../../tensor/graph.ts";
import type { Tensor } from "../../tensor/tensor.ts";
import type { Sample } from "../data/corpus.ts";
import { CHARACTERS } from "../data/fonts.ts";
import { letterGrid } from "../data/lettering.ts";
import { colours } from "../data/scenes.ts";
import { shapes } from "../data/shapes.ts";
import { crossEntropy } from "../loss/cross-entropy.ts";

/** embeddings [M, D] -> pixels of each merged position [M, 4*C*p*p] */
export function drawPixels(graph: Graph, embeddings: Tensor, out: number): Tensor {
  const p = graph.params.at("pixel_head");
  const hidden = linear(p.at("fc1"), embeddings, 2 * embeddings.size(-1)).geluTanh();
  return linear(p.at("fc2"), hidden, out);
}

/** embeddings [M, D] -> mean squared error of the latents [M, L] that a small network predicts from them. */
export function latentLoss(graph: Graph, embeddings: Tensor, wanted: Tensor): Tensor {
  const p = graph.params.at("latent_head");
  const hidden = linear(p.at("fc1"), embeddings, 2 * embeddings.size(-1)).geluTanh();
  return linear(p.at("fc2"), hidden, wanted.size(1)).sub(wanted).square().mean([0, 1]);
}

/** embeddings [M, D] -> 1 - mean cosine between a linear map of them and the teacher's rows [M, T] of unit length. */
export function teacherLoss(graph: Graph, embeddings: Tensor, wanted: Tensor): Tensor {
  const said = linear(graph.params.at("teacher_head"), embeddings, wanted.size(1));
  const length = said.square().sum([1]).add(1e-6).sqrt(); // [M]
  return said.mul(wanted).sum([1]).div(length).mean([0]).neg().add(1);
}

/** embeddings [M, D] -> the mean cross entropy of the letters of lettering. Fed by classificationFeeds. */
export function letterLoss(graph: Graph, embeddings: Tensor): Tensor {
  const p = graph.params.at("letter_head");
  const scores = linear(p.at("fc"), layerNorm(p.at("norm"), embeddings, 1e-5), CHARACTERS.length);
  graph.output(classOutput("letter"), scores.argmax());
  const M = embeddings.size(0);
  const each = crossEntropy(scores, graph.input("letterLabels", [M], "i32"));
  return each.mul(graph.input("letterWeights", [M])).sum([0]);
}

/** The classes predicted by whole-image heads. */
export const classKinds = ["concept", "shape", "colour"] as const;
export type ClassKind = (typeof classKinds)[number];

const colourClasses: readonly string[] = [...colours, "white"];

/** The output with a head's most likely classes i32 [B]. */
export const classOutput = (kind: ClassKind | "letter") => `${kind}Predicted`;

/** embeddings [B*M, D] of B images -> the mean cross entropy of each head that has classes, []. Fed by classificationFeeds. */
export function classificationLosses(
  graph: Graph,
  embeddings: Tensor,
  images: number,
  concepts: number,
): Readonly<Partial<Record<ClassKind, Tensor>>> {
  const mean = embeddings.reshape([images, -1, embeddings.size(-1)]).mean([1]); // [B, D]
  const sizes: Readonly<Record<ClassKind, number>> = {
    concept: concepts,
    shape: shapes.length,
    colour: colourClasses.length,
  };
  const lossOf = (kind: ClassKind) => {
    const p = graph.params.at(`${kind}_head`);
    const scores = linear(p.at("fc"), layerNorm(p.at("norm"), mean, 1e-5), sizes[kind]);
    graph.output(classOutput(kind), scores.argmax());
    const each = crossEntropy(scores, graph.input(`${kind}Labels`, [images], "i32"));
    return each.mul(graph.input(`${kind}Weights`, [images])).sum([0]);
  };
  return { ...(concepts > 0 && { concept: lossOf("concept") }), shape: lossOf("shape"), colour: lossOf("colour") };
}

/** Labels, with weights that average over those present. */
export interface Labels {
  readonly labels: Int32Array<ArrayBuffer>;
  readonly weights: Float32Array<ArrayBuffer>;
}

/** The classes of a batch's images and letters. `concepts` are the training code points, in class order. */
export function classificationFeeds(
  items: readonly Sample[],
  concepts: readonly string[],
  grid: number,
): Record<string, HostTensor> {
  const feeds: Record<string, HostTensor> = {};
  const put = (name: string, { labels, weights }: Labels) => {
    feeds[`${name}Labels`] = i32(labels, [labels.length]);
    feeds[`${name}Weights`] = f32(weights, [weights.length]);
  };
  for (const kind of classKinds) {
    if (kind !== "concept" || concepts.length > 0) put(kind, classLabels(kind, items, concepts));
  }
  put("letter", letterLabels(items, grid));
  return feeds;
}

/** The class of each image; pairs and other kinds of images have none. */
export function classLabels(kind: ClassKind, items: readonly Sample[], concepts: readonly string[]): Labels {
  return weighted(
    items.map(({ concept, scene, colour }) => {
      const group = scene?.kind === "group" ? scene.objects[0] : undefined;
      if (kind === "concept") return concept ? concepts.indexOf(concept.hexcode) : -1;
      if (kind === "shape") return group ? shapes.indexOf(group.shape) : -1;
      return colourClasses.indexOf(group?.colour ?? colour ?? "");
    }),
  );
}

/** The letter at each position that has exactly one, as an index into CHARACTERS. */
export function letterLabels(items: readonly Sample[], grid: number): Labels {
  const side = items[0]!.image.width;
  return weighted(
    items.flatMap(({ lettering }) => [
      ...(lettering ? letterGrid(lettering, side, grid) : new Int32Array(grid * grid).fill(-1)),
    ]),
  );
}

function weighted(found: readonly number[]): Labels {
  const count = found.filter((label) => label >= 0).length;
  return {
    labels: Int32Array.from(found, (label) => Math.max(label, 0)),
    weights: Float32Array.from(found, (label) => (label >= 0 ? 1 / count : 0)),
  };
}
