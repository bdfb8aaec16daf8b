// What codebooks start from: a sample of training images as the vision stage's encoder sees them, and a linear map from its features to
// all that codes should say: looks, the teacher's features, and the class heads' scores.

import type { Checkpoint } from "../../checkpoint/checkpoint.ts";
import type { RgbImage } from "../../image/rgb.ts";
import type { HostTensor } from "../../runtime/host-tensor.ts";
import { openSession, type SessionOptions } from "../../runtime/session.ts";
import { Graph } from "../../tensor/graph.ts";
import { visionEncoder } from "../../vision/encoder.ts";
import { projector } from "../../vision/projector.ts";
import { patchesOf } from "../data/patch-images.ts";
import { applyLinear, RidgeProbe } from "../linear-probe.ts";
import type { ParameterStore } from "../parameter-store.ts";
import type { VisionTargets } from "../vision-targets.ts";
import { classDirections } from "./class-directions.ts";
import { embedImages, type Model, pixelInput } from "./tokenizer-graph.ts";

export interface QuantizerContext {
  readonly store: ParameterStore;
  readonly model: Pick<Model, "config">;
  readonly seed: number;
  readonly log: (line: string) => void;
  /** How the networks that only read are opened. */
  readonly session?: SessionOptions;
  /** Rounds of the search for a rotation after which rounding loses less (product-rotation.ts); none by default. */
  readonly rounds?: number;
}

export interface StartContext extends QuantizerContext {
  readonly model: Model;
  readonly targets: Pick<VisionTargets, "of">;
  /** A batch of training images. */
  readonly images: (batch: number) => Promise<readonly RgbImage[]>;
}

/** A batch's positions: the projector's features [n, L] and the continuous embeddings [n, D]. */
export interface SamplePart {
  readonly projected: Float32Array;
  readonly embeddings: Float32Array;
}

export interface Sample {
  readonly parts: readonly SamplePart[];
  /** Statistics of the projected features; and a linear map from them [L, outputs] to the targets, scaled by the losses' weights. */
  readonly mean: Float64Array;
  readonly covariance: Float64Array;
  readonly weights: Float32Array;
  readonly outputs: number;
}

/** The vision stage's features of training images, and a regression of the targets on them. */
export async function collect(
  checkpoint: Checkpoint,
  { codeWidth: width, classes }: NonNullable<Model["start"]>,
  context: StartContext,
): Promise<Sample> {
  const { model, images, targets } = context;
  const config = model.config.tokenizer_config;
  const { llm_hidden_size: L, output_dim: D } = config;
  const directions = classes > 0 ? await classDirections(checkpoint, D, model.weights) : undefined;
  const scores = directions && (await applyLinear(withoutBias(directions, D), D, D));
  let scale: number | undefined;
  const batch = (await images(0)).length;
  const graph = new Graph();
  const earlier: Model = {
    ...model,
    quantize: false,
    config: {
      ...model.config,
      tokenizer_config: { ...config, embedding_dim: width, init_embedding_dim: width },
    },
  };
  const { pixels, layout } = pixelInput(graph, model, batch);
  const p = graph.params.at("visual_tokenizer");
  const features = visionEncoder(p.at("visual"), pixels, layout, config.vision_config);
  graph.output("projected", projector(p.at("mlp_AR"), features, layout.merge, L));
  graph.output("embeddings", embedImages(graph, pixels, layout, earlier).embeddings);
  graph.output("wanted", pixels.gather(layout.merge).reshape([-1, 4 * pixels.size(1)]));
  const session = await openSession(graph, checkpoint);
  const parts: SamplePart[] = [];
  let probe: RidgeProbe | undefined;
  let outputs = 0;
  for (let done = 0; done < model.kmeansImages; done += batch) {
    const shown = await images(done / batch);
    const said = await session.run({ pixels: patchesOf(shown, config.vision_config.patch_size) });
    const looks = scaledTargets({ ...(await targets.of(shown)), pixels: said.wanted! }, model.weights);
    const count = said.projected!.shape[0]!;
    const read = await scores?.(said.embeddings!.data as Float32Array);
    scale ??= read && Math.sqrt((classes * spread(looks, count)) / spread(read, count));
    const rows = read
      ? sideBySide(looks, read.map((value) => value * scale!) as Float32Array<ArrayBuffer>, count)
      : looks;
    outputs = rows.length / count;
    probe ??= await RidgeProbe.open(L, outputs);
    await probe.add({ features: said.projected!.data as Float32Array, pixels: rows });
    parts.push({
      projected: said.projected!.data as Float32Array,
      embeddings: said.embeddings!.data as Float32Array,
    });
  }
  await session.release();
  return sampleOf(parts, probe!, L, outputs);
}

/** A sample whose targets are regressed on the features [n, L] by `probe`, which has seen all of them. */
export async function sampleOf(
  parts: readonly SamplePart[],
  probe: RidgeProbe,
  L: number,
  outputs: number,
): Promise<Sample> {
  const { mean, covariance } = momentsOf(probe.gram, L);
  return { parts, mean, covariance, weights: (await probe.weights()).subarray(0, L * outputs), outputs };
}

/** All targets of a position, concatenated and scaled so that their squared error equals the weighted losses. */
function scaledTargets(
  targets: Readonly<Record<string, HostTensor>>,
  weights: Model["weights"],
): Float32Array<ArrayBuffer> {
  const list = Object.entries(targets).map(([name, { data, shape }]) => ({
    data: data as Float32Array,
    width: shape[1]!,
    // Squared errors are means over the width; the cosine loss of unit rows is half the squared distance.
    scale: name === "teacher" ? Math.sqrt(weights.teacher / 2) : Math.sqrt(weights[name as "latents"] / shape[1]!),
  }));
  const width = list.reduce((sum, item) => sum + item.width, 0);
  const rows = new Float32Array((list[0]!.data.length / list[0]!.width) * width);
  let column = 0;
  for (const { data, width: own, scale } of list) {
    data.forEach((value, i) => {
      rows[Math.floor(i / own) * width + column + (i % own)] = value * scale;
    });
    column += own;
  }
  return rows;
}

/** [n, n] -> [n + 1, n], without a bias. */
function withoutBias(matrix: Float32Array, n: number): Float32Array<ArrayBuffer> {
  const map = new Float32Array((n + 1) * n);
  map.set(matrix);
  return map;
}

/** The sum of the columns' variances over `count` rows. */
function spread(rows: Float32Array, count: number): number {
  const width = rows.length / count;
  const sums = new Float64Array(width);
  let squares = 0;
  rows.forEach((value, at) => {
    sums[at % width]! += value;
    squares += value * value;
  });
  return squares / count - sums.reduce((all, sum) => all + (sum / count) ** 2, 0);
}

/** [count, a] and [count, b] -> [count, a + b] */
function sideBySide(a: Float32Array, b: Float32Array, count: number): Float32Array<ArrayBuffer> {
  const [wide, more] = [a.length / count, b.length / count];
  const rows = new Float32Array(count * (wide + more));
  for (let i = 0; i < count; i++) {
    rows.set(a.subarray(i * wide, (i + 1) * wide), i * (wide + more));
    rows.set(b.subarray(i * more, (i + 1) * more), i * (wide + more) + wide);
  }
  return rows;
}

function momentsOf(gram: Float64Array, width: number): { mean: Float64Array; covariance: Float64Array } {
  const size = width + 1;
  const rows = gram[size * size - 1]!;
  const mean = Float64Array.from({ length: width }, (_, i) => gram[i * size + width]! / rows);
  const covariance = new Float64Array(width * width);
  let trace = 0;
  for (let i = 0; i < width; i++) {
    for (let j = 0; j < width; j++) covariance[i * width + j] = gram[i * size + j]! / rows - mean[i]! * mean[j]!;
    trace += covariance[i * width + i]!;
  }
  for (let i = 0; i < width; i++) covariance[i * width + i]! += (1e-5 * trace) / width;
  return { mean, covariance };
}
