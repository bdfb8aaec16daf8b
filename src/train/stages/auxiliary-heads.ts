// Heads that only the training of the image tokenizer has, so that embeddings keep what matters: one draws each position's
// pixels from its embedding; one names the concept of an emoji, and one the shape in a scene whose objects are all of one
// shape, from the mean of the picture's embeddings. None is part of the finished model.

import { linear } from "../../nn/linear.ts";
import { layerNorm } from "../../nn/norm.ts";
import { f32, type HostTensor, i32 } from "../../runtime/host-tensor.ts";
import type { Graph } from "../../tensor/graph.ts";
import { crossEntropy, type Tensor } from "../../tensor/tensor.ts";
import type { Sample } from "../data/corpus.ts";
import { shapes } from "../data/shapes.ts";

/** embeddings [M, D] -> pixels of each merged position [M, 4*C*p*p] */
export function drawPixels(graph: Graph, embeddings: Tensor, out: number): Tensor {
  const p = graph.params.at("pixel_head");
  const hidden = linear(p.at("fc1"), embeddings, 2 * embeddings.size(-1)).geluTanh();
  return linear(p.at("fc2"), hidden, out);
}

/** What the classifying heads say: the concept of an emoji; the shape of all objects of a scene. */
export const classKinds = ["concept", "shape"] as const;
export type ClassKind = (typeof classKinds)[number];

/** The output that holds a head's likeliest classes i32 [B]. */
export const classOutput = (kind: ClassKind) => `${kind}Predicted`;

/** embeddings [B*M, D] of B pictures -> the mean cross entropy of each head, []. Fed by classificationFeeds. */
export function classificationLosses(
  graph: Graph,
  embeddings: Tensor,
  pictures: number,
  concepts: number,
): Readonly<Record<ClassKind, Tensor>> {
  const mean = embeddings.reshape([pictures, -1, embeddings.size(-1)]).mean([1]); // [B, D]
  const sizes: Readonly<Record<ClassKind, number>> = { concept: concepts, shape: shapes.length };
  const lossOf = (kind: ClassKind) => {
    const p = graph.params.at(`${kind}_head`);
    const scores = linear(p.at("fc"), layerNorm(p.at("norm"), mean, 1e-5), sizes[kind]);
    graph.output(classOutput(kind), scores.argmax());
    const each = crossEntropy(scores, graph.input(`${kind}Labels`, [pictures], "i32"));
    return each.mul(graph.input(`${kind}Weights`, [pictures])).sum([0]);
  };
  return { concept: lossOf("concept"), shape: lossOf("shape") };
}

/** The classes of a batch's pictures. `concepts` are the code points that are trained on, in the order of the classes. */
export function classificationFeeds(items: readonly Sample[], concepts: readonly string[]): Record<string, HostTensor> {
  const feeds: Record<string, HostTensor> = {};
  for (const kind of classKinds) {
    const { labels, weights } = classLabels(kind, items, concepts);
    feeds[`${kind}Labels`] = i32(labels, [items.length]);
    feeds[`${kind}Weights`] = f32(weights, [items.length]);
  }
  return feeds;
}

/** Labels, and weights that make the mean over the pictures that have one: pairs in scenes and other kinds of pictures have none. */
export function classLabels(
  kind: ClassKind,
  items: readonly Sample[],
  concepts: readonly string[],
): { readonly labels: Int32Array; readonly weights: Float32Array } {
  const found = items.map(({ concept, scene }) => {
    if (kind === "concept") return concept ? concepts.indexOf(concept.hexcode) : -1;
    return scene?.kind === "group" ? shapes.indexOf(scene.objects[0]!.shape) : -1;
  });
  const count = found.filter((label) => label >= 0).length;
  return {
    labels: Int32Array.from(found, (label) => Math.max(label, 0)),
    weights: Float32Array.from(found, (label) => (label >= 0 ? 1 / count : 0)),
  };
}
