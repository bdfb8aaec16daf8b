// How codebooks start: at k-means centres of the features that the encoder gives when quantizing begins.

import { InputError } from "../../errors.ts";
import { linear } from "../../nn/linear.ts";
import { layerNorm } from "../../nn/norm.ts";
import { counterRandom } from "../../random/counter.ts";
import { type HostTensor, joinFloats } from "../../runtime/host-tensor.ts";
import { memoryWeights } from "../../runtime/memory-weights.ts";
import { openSession, type WeightSource } from "../../runtime/session.ts";
import { Graph } from "../../tensor/graph.ts";
import { bookSize, codeWidth } from "../../vision/config.ts";
import { visionEncoder } from "../../vision/encoder.ts";
import { kMeans } from "../../vision/kmeans.ts";
import { projector } from "../../vision/projector.ts";
import type { Corpus } from "../data/corpus.ts";
import { patchesOf } from "../data/patch-pictures.ts";
import type { ParameterStore } from "../parameter-store.ts";
import { type Model, pixelInput } from "./tokenizer-graph.ts";

/** Sets each book's table to k-means centres of the normed features that the encoder gives now, and its projection to the identity. */
export async function seedCodebooks(
  store: ParameterStore,
  corpus: Corpus,
  model: Model,
  seed: number,
  log: (line: string) => void,
): Promise<void> {
  const config = model.config.tokenizer_config;
  const { n_q_tokens: N, init_embedding_dim: width } = config;
  const d = codeWidth(config);
  if (width !== d)
    throw new InputError(`k-means starts want init_embedding_dim (${width}) equal to the width of a code (${d})`);
  log(`k-means: the encoder reads ${model.kmeansPictures} pictures`);
  const z = await collectFeatures(memoryWeights(valuesOf(store)), corpus, model, seed);
  const S = bookSize(config);
  for (let i = 0; i < N; i++) {
    log(`k-means: book ${i + 1} of ${N}`);
    const p = `visual_tokenizer.quantizer.${i}`;
    const centres = kMeans(z[i]!, d, { clusters: S, random: counterRandom(seed, "k-means").fork(i), iterations: 10 });
    store
      .view("values", `${p}.embedding.weight`)
      .fill(0)
      .set(centres, i * S * d);
    const identity = store.view("values", `${p}.embedding_proj.weight`).fill(0);
    for (let j = 0; j < d; j++) identity[j * d + j] = 1;
    store.view("values", `${p}.embedding_proj.bias`).fill(0);
  }
}

export function valuesOf(store: ParameterStore): Map<string, HostTensor> {
  return new Map([...store.parameters.keys()].map((path) => [path, store.tensor("values", path)]));
}

/** For each book the normed features [n, d] of a sample of pictures. */
export async function collectFeatures(
  weights: WeightSource,
  corpus: Corpus,
  model: Model,
  seed: number,
): Promise<Float32Array[]> {
  const config = model.config.tokenizer_config;
  const chunk = 32;
  const graph = new Graph();
  const { pixels, layout } = pixelInput(graph, model, chunk);
  const p = graph.params.at("visual_tokenizer");
  const { features } = visionEncoder(p.at("visual"), pixels, layout, config.vision_config);
  const ze = linear(
    p.at("encoder"),
    projector(p.at("mlp_AR"), features, layout.merge, config.llm_hidden_size),
    config.n_q_tokens * codeWidth(config),
  );
  ze.split(1, new Array<number>(config.n_q_tokens).fill(codeWidth(config))).forEach((part, i) => {
    graph.output(`z${i}`, layerNorm(p.at("quantizer", i, "z_norm"), part, 1e-5));
  });
  const session = await openSession(graph, weights);
  const parts: Float32Array[][] = Array.from({ length: config.n_q_tokens }, () => []);
  for (let done = 0; done < model.kmeansPictures; done += chunk) {
    const pictures = Array.from(
      { length: chunk },
      (_, i) => corpus.sample(i % 3 === 0 ? "scene" : "emoji", "train", seed + 1, done + i).picture,
    );
    const result = await session.run({ pixels: patchesOf(pictures, config.vision_config.patch_size) });
    parts.forEach((list, i) => {
      list.push(result[`z${i}`]!.data as Float32Array);
    });
  }
  await session.release();
  return parts.map(joinFloats);
}
