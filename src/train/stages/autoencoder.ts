// Trains the autoencoder from scratch: images through 6 x 6 latents (depending on its depth) and back.
// Squared and absolute pixel errors; a little noise on the latents makes the decoder robust to the diffusion transformer's errors.

import * as z from "zod";
import { decode, encode } from "../../detokenizer/autoencoder.ts";
import { type AutoencoderConfig, parseAutoencoderConfig, pixelsPerLatent } from "../../detokenizer/config.ts";
import { InputError } from "../../errors.ts";
import { imageFromPlanes } from "../../image/planes.ts";
import type { RgbImage } from "../../image/rgb.ts";
import { counterRandom } from "../../random/counter.ts";
import { f32, type HostTensor } from "../../runtime/host-tensor.ts";
import { openSession, type WeightSource } from "../../runtime/session.ts";
import { Graph } from "../../tensor/graph.ts";
import type { Tensor } from "../../tensor/tensor.ts";
import { parseSection, type RunConfig } from "../config.ts";
import { writeContactSheet } from "../contact-sheet.ts";
import { kindsOf, mixSchema, pickKind, type SampleKind } from "../data/mix.ts";
import { sourceSchema } from "../data/own-data.ts";
import { Samples } from "../data/samples.ts";
import { planesOf } from "../image-planes.ts";
import { pixelError } from "../metrics.ts";
import { pathSchema } from "../settings.ts";
import type { Stage, StageContext } from "../stage.ts";
import type { TracedLoss } from "../train-graph.ts";

const dataSchema = z.strictObject({
  cache: pathSchema.optional(),
  source: sourceSchema.optional(),
  side: z.int().min(16).max(1024),
  batch: z.int().min(1).max(4096),
  /** Shares of the kinds of images. */
  mix: mixSchema,
});

const modelSchema = z.strictObject({
  config: z.record(z.string(), z.unknown()),
  /** Standard deviation of the noise on the latents. */
  latentNoise: z.number().min(0).max(1e6).default(0.05),
  weights: z.strictObject({
    squared: z.number().min(0).max(1e6).default(1),
    absolute: z.number().min(0).max(1e6).default(0.2),
    /** Weight of the absolute error of differences between neighbouring pixels (edges). */
    gradient: z.number().min(0).max(1e6).default(0.2),
    /** Weight of the latents' mean square, which would grow without it. */
    latents: z.number().min(0).max(1e6).default(1e-3),
  }),
});

/** Opens the stage; if the mix has more than scenes, `kelix data` must have been run. */
export async function openAutoencoderStage(run: RunConfig, { own }: StageContext = {}): Promise<Stage> {
  const data = parseSection(dataSchema, run, "data");
  const model = parseSection(modelSchema, run, "model");
  const config = parseAutoencoderConfig(model.config, "model.config");
  const grid = data.side / pixelsPerLatent(config);
  if (!Number.isInteger(grid))
    throw new InputError(`data: side is ${data.side}, expected a multiple of ${pixelsPerLatent(config)}`);
  const samples = await Samples.open({ cache: data.cache, side: data.side, kinds: kindsOf(data.mix), own });
  const { batch: B, side } = data;
  const latentShape = [B, config.latentChannels, grid, grid];
  return {
    losses: {
      images: (graph) => traceAutoencoder(graph, config, model, [B, config.inChannels, side, side], latentShape),
    },
    async batch(step) {
      const random = counterRandom(run.seed, "batch").fork(step);
      const images: RgbImage[] = [];
      for (let i = 0; i < B; i++) {
        const kind = pickKind(data.mix, random.uniform(i));
        images.push((await samples.draw(kind, "train", run.seed, step * B + i, "image")).image);
      }
      const noise = random.fork("noise").fillNormal(new Float32Array(latentShape.reduce((a, b) => a * b, 1)));
      return {
        loss: "images",
        tokens: B * grid * grid,
        feeds: { pixels: planesOf(images), noise: f32(noise, latentShape) },
      };
    },
    samples: (weights, folder, step) =>
      showImages(weights, config, samples, kindsOf(data.mix), `${folder}/images-${step}.png`),
  };
}

export function traceAutoencoder(
  graph: Graph,
  config: AutoencoderConfig,
  { weights, latentNoise }: z.infer<typeof modelSchema>,
  shape: readonly number[],
  latentShape: readonly number[],
): TracedLoss {
  const pixels = graph.input("pixels", shape);
  const latents = encode(graph.params, pixels, config);
  const noisy = latents.add(graph.input("noise", latentShape).mul(latentNoise));
  const difference = decode(graph.params, noisy, config).sub(pixels);
  const axes = [0, 1, 2, 3];
  const squared = difference.square().mean(axes);
  const edges = [2, 3]
    .map((axis) => slope(difference, axis).abs().mean(axes))
    .reduce((a, b) => a.add(b))
    .div(2);
  const spread = latents.square().mean(axes);
  const loss = squared
    .mul(weights.squared)
    .add(difference.abs().mean(axes).mul(weights.absolute))
    .add(edges.mul(weights.gradient))
    .add(spread.mul(weights.latents));
  return { loss, reports: { squared, edges, spread } };
}

/** Differences between neighbours along an axis. */
function slope(x: Tensor, axis: number): Tensor {
  const length = x.size(axis);
  return x.slice(axis, 1, length).sub(x.slice(axis, 0, length - 1));
}

/** Images measured per kind; emoji of held-out concepts are reported as `psnr`. */
const measured: Readonly<Record<SampleKind, number>> = {
  emoji: 96,
  scene: 32,
  icon: 32,
  lettering: 32,
  digit: 32,
  own: 32,
};
const SHOWN = 8;

/** Draws held-out images of each kind beside their reconstructions; returns their PSNR. */
async function showImages(
  weights: WeightSource,
  config: AutoencoderConfig,
  samples: Samples,
  kinds: readonly SampleKind[],
  path: string,
): Promise<Record<string, number>> {
  const numbers: Record<string, number> = {};
  const shown: RgbImage[] = [];
  for (const kind of kinds) {
    const originals: RgbImage[] = [];
    for (let i = 0; i < measured[kind]; i++)
      originals.push((await samples.draw(kind, "heldOutConcept", 7, i * 17, "image")).image);
    const back = await passThrough(originals, weights, config);
    shown.push(...originals.slice(0, SHOWN).flatMap((image, i) => [image, back[i]!]));
    numbers[kind === "emoji" ? "psnr" : `psnr.${kind}`] = pixelError(originals, back).psnr;
  }
  await writeContactSheet(path, shown, SHOWN);
  return numbers;
}

/** Runs images of one size through the autoencoder. */
async function passThrough(
  images: readonly RgbImage[],
  weights: WeightSource,
  config: AutoencoderConfig,
): Promise<RgbImage[]> {
  const graph = new Graph();
  const planes: HostTensor = planesOf(images);
  const latents = encode(graph.params, graph.input("pixels", planes.shape), config);
  graph.output("drawn", decode(graph.params, latents, config));
  const session = await openSession(graph, weights);
  const { drawn } = await session.run({ pixels: planes });
  await session.release();
  return images.map((_, i) => imageFromPlanes(drawn!, i));
}
