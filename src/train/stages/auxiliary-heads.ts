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

/** embeddings [B*M, D] of B pictures -> [], the mean cross entropies of the concepts and of the shapes, added. Fed by classificationFeeds. */
export function classificationLoss(graph: Graph, embeddings: Tensor, pictures: number, concepts: number): Tensor {
  const mean = embeddings.reshape([pictures, -1, embeddings.size(-1)]).mean([1]); // [B, D]
  const loss = (kind: string, classes: number) => {
    const p = graph.params.at(`${kind}_head`);
    const scores = linear(p.at("fc"), layerNorm(p.at("norm"), mean, 1e-5), classes);
    const losses = crossEntropy(scores, graph.input(`${kind}Labels`, [pictures], "i32"));
    return losses.mul(graph.input(`${kind}Weights`, [pictures])).sum([0]);
  };
  return loss("concept", concepts).add(loss("shape", shapes.length));
}

/** The classes of a batch's pictures. `concepts` are the code points that are trained on, in the order of the classes. */
export function classificationFeeds(items: readonly Sample[], concepts: readonly string[]): Record<string, HostTensor> {
  return {
    ...labelled(
      "concept",
      items.map(({ concept }) => (concept ? concepts.indexOf(concept.hexcode) : -1)),
    ),
    ...labelled(
      "shape",
      items.map(({ scene }) => (scene?.kind === "group" ? shapes.indexOf(scene.objects[0]!.shape) : -1)),
    ),
  };
}

/** Labels, and weights that make the mean over those pictures that have one (-1: none). */
function labelled(kind: string, labels: readonly number[]): Record<string, HostTensor> {
  const count = labels.filter((label) => label >= 0).length;
  const shape = [labels.length];
  return {
    [`${kind}Labels`]: i32(
      labels.map((label) => Math.max(label, 0)),
      shape,
    ),
    [`${kind}Weights`]: f32(
      labels.map((label) => (label >= 0 ? 1 / count : 0)),
      shape,
    ),
  };
}
