// The image tokenizer's targets from frozen models: the autoencoder's latents at each position, and the
// teacher's features. Both are standardised per channel over a sample of training images.

import * as z from "zod";
import type { Checkpoint } from "../checkpoint/checkpoint.ts";
import { encode } from "../detokenizer/autoencoder.ts";
import { parseAutoencoderConfig } from "../detokenizer/config.ts";
import { InputError } from "../errors.ts";
import type { RgbImage } from "../image/rgb.ts";
import { f32, type HostTensor } from "../runtime/host-tensor.ts";
import { openSession, type Session } from "../runtime/session.ts";
import { Graph } from "../tensor/graph.ts";
import type { Tensor } from "../tensor/tensor.ts";
import { planesOf } from "./image-planes.ts";
import { openCheckpointAt } from "./open-checkpoint.ts";
import { pathSchema } from "./settings.ts";
import { TEACHER_WIDTH, teacherMap } from "./teacher.ts";

export const targetsSchema = z.strictObject({
  autoencoder: z.strictObject({ config: z.record(z.string(), z.unknown()), weights: pathSchema }).optional(),
  /** Weights of the teacher, from scripts/convert-teacher.py; a path relative to the data cache. */
  teacher: pathSchema.optional(),
});

export type TargetsConfig = z.infer<typeof targetsSchema>;

/** Numbers per position. */
export interface TargetWidths {
  readonly latents: number;
  readonly teacher: number;
}

export function targetWidths({ autoencoder, teacher }: TargetsConfig): TargetWidths {
  return {
    latents: autoencoder
      ? parseAutoencoderConfig(autoencoder.config, "model.targets.autoencoder.config").latentChannels
      : 0,
    teacher: teacher === undefined ? 0 : TEACHER_WIDTH,
  };
}

interface Channels {
  readonly mean: Float64Array;
  readonly deviation: Float64Array;
}

type TargetName = keyof TargetWidths;

export class VisionTargets {
  readonly #session: Session;
  readonly #sources: readonly Checkpoint[];
  readonly #widths: TargetWidths;
  readonly #channels: Record<TargetName, Channels>;

  private constructor(
    session: Session,
    sources: readonly Checkpoint[],
    widths: TargetWidths,
    channels: Record<TargetName, Channels>,
  ) {
    this.#session = session;
    this.#sources = sources;
    this.#widths = widths;
    this.#channels = channels;
  }

  /** `sample` gives batches of training images for standardising channels, each as large as all later ones. */
  static async open(
    config: TargetsConfig,
    sample: readonly (readonly RgbImage[])[],
    threads?: number,
  ): Promise<VisionTargets> {
    const [first] = sample;
    if (!first?.[0]) throw new InputError("no images to standardise channels over");
    const graph = new Graph();
    const pixels = graph.input("pixels", [first.length, 3, first[0].height, first[0].width]);
    const sources: Checkpoint[] = [];
    if (config.autoencoder) {
      sources.push(await openCheckpointAt(config.autoencoder.weights));
      graph.output(
        "latents",
        byPosition(
          encode(
            graph.params,
            pixels,
            parseAutoencoderConfig(config.autoencoder.config, "model.targets.autoencoder.config"),
          ),
        ),
      );
    }
    if (config.teacher !== undefined) {
      sources.push(await openCheckpointAt(config.teacher));
      graph.output("teacher", byPosition(teacherMap(graph.params, pixels)));
    }
    const weights = { find: (path: string) => sources.map((s) => s.find(path)).find((found) => found !== undefined) };
    const session = await openSession(graph, weights as Checkpoint, threads === undefined ? {} : { threads });
    const widths = targetWidths(config);
    const said: Record<string, Float32Array[]> = { latents: [], teacher: [] };
    for (const images of sample) {
      for (const [name, { data }] of Object.entries(await session.run({ pixels: planesOf(images) }))) {
        said[name]!.push(data as Float32Array);
      }
    }
    const channels = {
      latents: channelsOf(said.latents!, widths.latents),
      teacher: channelsOf(said.teacher!, widths.teacher),
    };
    return new VisionTargets(session, sources, widths, channels);
  }

  /** Standardised latents [M, L] and the teacher's rows [M, T] of unit length, for the M positions of all images. */
  async of(images: readonly RgbImage[]): Promise<Record<string, HostTensor>> {
    const results = await this.#session.run({ pixels: planesOf(images) });
    const targets: Record<string, HostTensor> = {};
    for (const [name, { data, shape }] of Object.entries(results)) {
      const width = this.#widths[name as TargetName];
      const values = standardise(data as Float32Array, width, this.#channels[name as TargetName]);
      if (name === "teacher") centreAndNorm(values, width, images.length);
      targets[name] = f32(values, shape);
    }
    return targets;
  }

  async release(): Promise<void> {
    await this.#session.release();
    for (const source of this.#sources) await source.close();
  }
}

/** [B, C, h, w] -> [B*h*w, C] */
function byPosition(x: Tensor): Tensor {
  return x.transpose([0, 2, 3, 1]).reshape([-1, x.size(1)]);
}

function channelsOf(parts: readonly Float32Array[], width: number): Channels {
  const [sum, squares] = [new Float64Array(width), new Float64Array(width)];
  let rows = 0;
  for (const part of parts) {
    rows += part.length / width;
    part.forEach((value, i) => {
      sum[i % width]! += value;
      squares[i % width]! += value * value;
    });
  }
  const mean = sum.map((s) => s / rows);
  return { mean, deviation: squares.map((s, c) => Math.sqrt(Math.max(s / rows - mean[c]! ** 2, 1e-12))) };
}

function standardise(values: Float32Array, width: number, { mean, deviation }: Channels): Float32Array<ArrayBuffer> {
  return Float32Array.from(values, (value, i) => (value - mean[i % width]!) / deviation[i % width]!);
}

/**
 * Subtracts half of each image's mean from its rows, in place, and normalizes them to unit length: differences within an image count
 * more, but the kind of image is kept (subtracting the whole mean would remove it).
 */
export function centreAndNorm(rows: Float32Array, width: number, images: number): void {
  const positions = rows.length / width / images;
  for (let image = 0; image < images; image++) {
    const own = rows.subarray(image * positions * width, (image + 1) * positions * width);
    const mean = new Float64Array(width);
    own.forEach((value, i) => {
      mean[i % width]! += value / positions;
    });
    for (let at = 0; at < own.length; at += width) {
      let squares = 1e-12;
      for (let c = 0; c < width; c++) {
        own[at + c]! -= mean[c]! / 2;
        squares += own[at + c]! ** 2;
      }
      const length = Math.sqrt(squares);
      for (let c = 0; c < width; c++) own[at + c]! /= length;
    }
  }
}
