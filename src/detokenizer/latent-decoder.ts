// The autoencoder's decoder at work: latents -> an image, in as much memory as decode-plan.ts allows.

import { copyRows, imageFromPlanes } from "../image/planes.ts";
import type { RgbImage } from "../image/rgb.ts";
import { f32, type HostTensor } from "../runtime/host-tensor.ts";
import type { WeightSource } from "../runtime/session.ts";
import type { SessionCache } from "../runtime/session-cache.ts";
import { countFlop } from "../tensor/products.ts";
import type { AutoencoderConfig, LatentGrid } from "./config.ts";
import { DECODE_BYTES, type DecodePart, type DecodePlan, decodeGraph, planDecode } from "./decode-plan.ts";

export interface DecodeOptions {
  readonly signal?: AbortSignal | undefined;
  /** Called after each piece of the work: the whole part, then each band. */
  readonly onPart?: ((done: number, total: number) => void) | undefined;
  /** Leaves other sessions open, even past the limit of memory: for previews. */
  readonly isExtra?: boolean;
}

export class LatentDecoder {
  readonly config: AutoencoderConfig;
  readonly #weights: WeightSource;
  readonly #sessions: SessionCache;

  constructor(config: AutoencoderConfig, weights: WeightSource, sessions: SessionCache) {
    this.config = config;
    this.#weights = weights;
    this.#sessions = sessions;
  }

  /** What decoding latents of a grid runs: where memory is short, half of it is for weights. */
  plan(grid: LatentGrid): DecodePlan {
    return planDecode(this.config, grid, Math.min(DECODE_BYTES, this.#sessions.limitBytes / 2));
  }

  /** Operations of decoding latents of a grid. */
  flop(grid: LatentGrid): number {
    const { whole, rest } = this.plan(grid);
    const own = (part: DecodePart) => countFlop(decodeGraph(this.config, part));
    return own(whole) + (rest ? rest.bands.length * own(rest.part) : 0);
  }

  /** Latents [Z, h, w] as the transformer makes them -> the image, rounded as in the release's demo. Throws the signal's reason when aborted. */
  async decode(latents: Float32Array, grid: LatentGrid, options: DecodeOptions = {}): Promise<RgbImage> {
    const { signal, onPart } = options;
    const { whole, rest } = this.plan(grid);
    const total = 1 + (rest?.bands.length ?? 0);
    signal?.throwIfAborted();
    const features = await this.#run(whole, f32(latents, whole.shape), options);
    onPart?.(1, total);
    if (!rest) return imageFromPlanes(features);
    const { part, bands, scale } = rest;
    const [, , height, width] = features.shape as [number, number, number, number];
    const size = [1, this.config.inChannels, height * scale, width * scale];
    const pixels = f32(new Float32Array(size.reduce((a, b) => a * b, 1)), size);
    for (const [i, { start, end, from, to }] of bands.entries()) {
      signal?.throwIfAborted();
      const window = f32(new Float32Array(part.shape.reduce((a, b) => a * b, 1)), part.shape);
      copyRows(features, { from, to }, window, 0);
      const band = await this.#run(part, window, options);
      copyRows(band, { from: (start - from) * scale, to: (end - from) * scale }, pixels, start * scale);
      onPart?.(i + 2, total);
    }
    return imageFromPlanes(pixels);
  }

  async #run(part: DecodePart, x: HostTensor, { isExtra = false }: DecodeOptions): Promise<HostTensor> {
    const { first, last } = part.stages;
    const session = {
      key: `decoder ${first} to ${last} of ${part.shape.slice(2).join(" x ")}`,
      weights: this.#weights,
      trace: () => decodeGraph(this.config, part),
      runMemory: "returned" as const,
    };
    const { y } = await this.#sessions.run(session, { x }, { isExtra });
    return y!;
  }
}
