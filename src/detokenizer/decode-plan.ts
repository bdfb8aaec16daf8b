// How the decoder turns latents into pixels in bounded memory. Its fine stages hold the largest tensors and are convolutions
// alone, so they can run in bands of rows without changing a number; its deep stages attend to the whole image, and run whole.

import { type RowBand, rowBands } from "../nn/row-bands.ts";
import { Graph } from "../tensor/graph.ts";
import { peakBytes } from "../tensor/peak-memory.ts";
import { decodeStages, hasUp, type StageRange } from "./autoencoder.ts";
import type { AutoencoderConfig, LatentGrid } from "./config.ts";

/**
 * Bytes of tensors that decoding may hold at one time. An image of 512 x 512 pixels is decoded whole in half of it, one of 1024 x
 * 1024 takes twice as much and is cut in its last stage, where that costs 1 to 2 % more work; half of it would cost a quarter.
 */
export const DECODE_BYTES = 2 ** 30;

/** A run of consecutive stages, from a feature map or latents of this shape. */
export interface DecodePart {
  readonly stages: StageRange;
  /** [1, C, h, w] */
  readonly shape: readonly number[];
}

export interface DecodePlan {
  /** The stages that run on the whole image. */
  readonly whole: DecodePart;
  /** The rest, in bands of rows of the feature map that the whole part returns. Absent when nothing is left. */
  readonly rest?: {
    readonly part: DecodePart;
    readonly bands: readonly RowBand[];
    /** Rows of the image for each row of the feature map. */
    readonly scale: number;
  };
}

/** Decides what runs whole and what in bands, so that no part holds more than `limitBytes` if the stages with attention allow it. */
export function planDecode(config: AutoencoderConfig, [h, w]: LatentGrid, limitBytes = DECODE_BYTES): DecodePlan {
  const deepest = config.decoder.length - 1;
  const upTo = (last: number): DecodePart => ({
    stages: { first: deepest, last },
    shape: [1, config.latentChannels, h, w],
  });
  const fits = (part: DecodePart) => peakBytes(decodeGraph(config, part)) <= limitBytes;
  if (fits(upTo(0))) return { whole: upTo(0) };
  // The later the cut the fewer rows are decoded twice. All stages with attention come before it.
  const attention = config.decoder.findIndex(({ type, layers }) => type === "EfficientViTBlock" && layers > 0);
  const cuts = Array.from({ length: attention < 0 ? deepest : attention }, (_, i) => i + 1);
  const last = cuts.find((cut) => fits(upTo(cut))) ?? cuts.at(-1);
  if (last === undefined) return { whole: upTo(0) };
  const whole = upTo(last);
  const stages = { first: last - 1, last: 0 };
  const shape = decodeGraph(config, whole).outputs.get("y")!.shape as readonly number[];
  const { reach, scale } = reachOf(config, stages.first);
  const height = shape[2]!;
  const bytesPerRow = peakBytes(decodeGraph(config, { stages, shape })) / height;
  const most = Math.max(1, Math.floor(limitBytes / bytesPerRow) - 2 * reach);
  const rows = Math.ceil(height / Math.ceil(height / most));
  const bands = rowBands(height, rows, reach);
  const window = bands[0]!.to - bands[0]!.from;
  return { whole, rest: { part: { stages, shape: [1, shape[1]!, window, shape[3]!] }, bands, scale } };
}

/** x, latents as the transformer makes them or a feature map -> y. */
export function decodeGraph(config: AutoencoderConfig, { stages, shape }: DecodePart): Graph {
  const graph = new Graph();
  const x = graph.input("x", shape);
  const readsLatents = stages.first === config.decoder.length - 1;
  graph.output("y", decodeStages(graph.params, readsLatents ? x.div(config.scalingFactor) : x, stages, config));
  return graph;
}

/**
 * How far stages `first` down to 0 look: rows of their input above and below on which a pixel depends, and rows of the image for
 * each row of the input.
 */
export function reachOf(config: AutoencoderConfig, first: number): { readonly reach: number; readonly scale: number } {
  let reach = 0;
  let scale = 1;
  const up = () => {
    // A 3 x 3 convolution on the doubled image, or one before it is doubled.
    reach = config.upsampling === "interpolate" ? Math.ceil((reach + 1) / 2) : Math.ceil(reach / 2) + 1;
    scale *= 2;
  };
  if (config.decoder[0]!.layers > 0) reach += 1;
  else up();
  for (let i = 0; i <= first; i++) {
    reach += 2 * config.decoder[i]!.layers; // two 3 x 3 convolutions a block
    if (hasUp(config, i)) up();
  }
  return { reach, scale };
}
