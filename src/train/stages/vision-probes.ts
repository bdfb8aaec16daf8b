// Probes of the embeddings of plain drawings while the image tokenizer trains: ridge regression to each position's
// pixels, in dB, and the share of held-out drawings whose nearest training drawing shows the same concept.

import type { RgbImage } from "../../image/rgb.ts";
import { f32 } from "../../runtime/host-tensor.ts";
import type { WeightSource } from "../../runtime/session.ts";
import { openSession } from "../../runtime/session.ts";
import { Graph } from "../../tensor/graph.ts";
import { PLAIN_VIEW, renderView } from "../data/augment.ts";
import type { Corpus } from "../data/corpus.ts";
import { imagesFromPatches, patchesOf } from "../data/patch-images.ts";
import type { IndexEntry } from "../data/render.ts";
import { nearestShare, RidgeProbe } from "../linear-probe.ts";
import { pixelError } from "../metrics.ts";
import { embedImages, type Model, pixelInput } from "./tokenizer-graph.ts";

const BATCH = 48;

/** Drawings in plain view; cached, because each takes some milliseconds and every probe needs thousands. */
const plainViews = new WeakMap<IndexEntry, RgbImage>();

function plainView(corpus: Corpus, entry: IndexEntry): RgbImage {
  const known = plainViews.get(entry);
  if (known) return known;
  const image = renderView(corpus.rgba(entry), corpus.side, PLAIN_VIEW);
  plainViews.set(entry, image);
  return image;
}

/** ridgeDb: fitted on every second training drawing, measured on the held-out style. neighbours: among all training drawings. */
export async function probeEmbeddings(
  weights: WeightSource,
  corpus: Corpus,
  model: Model,
): Promise<{ ridgeDb: number; neighbours: number; neighboursPooled: number }> {
  const vision = model.config.tokenizer_config.vision_config;
  const D = model.config.tokenizer_config.output_dim;
  const graph = new Graph();
  const { pixels, layout } = pixelInput(graph, model, BATCH);
  graph.output("embeddings", embedImages(graph, pixels, layout, model).embeddings);
  graph.output("pixels of positions", pixels.gather(layout.merge).reshape([-1, 4 * pixels.size(1)]));
  const session = await openSession(graph, weights);
  const positions = (vision.image_size / vision.patch_size / 2) ** 2;
  const outputs = 4 * vision.num_channels * vision.patch_size ** 2;

  async function* batches(entries: readonly IndexEntry[]) {
    for (let start = 0; start < entries.length; start += BATCH) {
      const kept = entries.slice(start, start + BATCH);
      const shown = Array.from({ length: BATCH }, (_, i) => kept[i] ?? kept[0]!);
      const images = shown.map((entry) => plainView(corpus, entry));
      const result = await session.run({ pixels: patchesOf(images, vision.patch_size) });
      yield {
        start,
        images: images.slice(0, kept.length),
        features: (result.embeddings!.data as Float32Array).subarray(0, kept.length * positions * D),
        pixels: (result["pixels of positions"]!.data as Float32Array).subarray(0, kept.length * positions * outputs),
      };
    }
  }

  const [train, heldOut] = [corpus.entries("train"), corpus.entries("heldOutStyle")];
  const width = positions * D;
  const known = new Float32Array(train.length * width);
  const queries = new Float32Array(heldOut.length * width);
  const ridge = await RidgeProbe.open(D, outputs);
  // Even drawings first, so that a batch is either fitted whole or not at all.
  const ordered = [...train.filter((_, i) => i % 2 === 0), ...train.filter((_, i) => i % 2 === 1)];
  const fitted = Math.ceil(train.length / 2);
  for await (const { start, features, pixels } of batches(ordered)) {
    known.set(features, start * width);
    if (start + BATCH <= fitted) await ridge.add({ features, pixels });
  }
  const draw = await ridge.solve();
  let psnr = 0;
  for await (const { start, images, features } of batches(heldOut)) {
    queries.set(features, start * width);
    const drawn = imagesFromPatches(
      f32(await draw(features), [images.length * positions, outputs]),
      vision,
      images.length,
    );
    psnr += pixelError(images, drawn).psnr * images.length;
  }
  await session.release();
  const labels = { known: ordered.map(({ hexcode }) => hexcode), queries: heldOut.map(({ hexcode }) => hexcode) };
  const share = (rows: Float32Array, other: Float32Array, w: number) =>
    nearestShare({ rows, labels: labels.known }, { rows: other, labels: labels.queries }, w);
  return {
    ridgeDb: psnr / heldOut.length,
    neighbours: await share(known, queries, width),
    neighboursPooled: await share(pool(known, positions, D), pool(queries, positions, D), D),
  };
}

/** [n, positions, D] -> means [n, D] */
function pool(rows: Float32Array, positions: number, D: number): Float32Array {
  const means = new Float32Array(rows.length / positions);
  rows.forEach((value, i) => {
    means[Math.floor(i / (positions * D)) * D + (i % D)]! += value / positions;
  });
  return means;
}
