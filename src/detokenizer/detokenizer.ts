// The detokenizer: hidden states of the language model at an image's blocks -> latents -> pixels.
// Its networks are opened when they are needed and share a limit of memory: docs/decisions/0006-detokenizer-memory.md.

import { ModelError } from "../errors.ts";
import type { RgbImage } from "../image/rgb.ts";
import { counterRandom } from "../random/counter.ts";
import { joinFloats } from "../runtime/host-tensor.ts";
import type { WeightSource } from "../runtime/session.ts";
import type { SessionCache } from "../runtime/session-cache.ts";
import { type AutoencoderConfig, type DitConfig, type LatentGrid, pixelsPerLatent } from "./config.ts";
import { Denoiser } from "./denoiser.ts";
import { defaultSigmas, demoSigmas } from "./flow-schedule.ts";
import { LatentDecoder } from "./latent-decoder.ts";
import { type CrossPositions, computePositions, type PositionRequest } from "./positions.ts";
import { guide, type SamplerStep, sampleEuler, type Velocity } from "./samplers.ts";

export interface DetokenizerParts {
  readonly transformer: { readonly config: DitConfig; readonly weights: WeightSource };
  readonly autoencoder: { readonly config: AutoencoderConfig; readonly weights: WeightSource };
}

export interface DetokenizerSettings {
  /** Conditions are padded to this many entries, as in training; not padded if absent. */
  readonly maxConditionLength?: number;
  /** How positions were given in training: see PositionRequest. */
  readonly positions: PositionRequest["scheme"];
  /** Rows and columns of latents; the transformer's input_size squared if absent. */
  readonly latentGrid?: LatentGrid;
}

/** One image to make. */
export interface DetokenizeRequest {
  /** [L, connector], or [L, C] for a model without a connector. */
  readonly condition: Float32Array;
  /** The condition is [L, C] already and passes by the connector: fused code embeddings. */
  readonly isConnected?: boolean;
  /** Rows and columns of the image's codes. */
  readonly codeGrid: readonly [number, number];
}

/** Euler's method with the noise levels of the release's demo, or with those that diffusers makes itself. */
export type Solver = "euler" | "euler-default";

export interface DetokenizeOptions {
  readonly seed?: number;
  readonly steps?: number;
  readonly solver?: Solver;
  /** Classifier-free guidance; 1 is none and costs half. */
  readonly guidance?: number;
  readonly signal?: AbortSignal | undefined;
  /** Called after each step of the sampler. */
  readonly onStep?: ((step: number, steps: number) => void | Promise<void>) | undefined;
  /**
   * Called during sampling with the image as it would come out if the velocity stayed as it is: three times or at every fifth step,
   * or, where decoding is dear, so seldom that it adds at most a fifth to the sampler's work.
   */
  readonly onPreview?: ((image: RgbImage) => void | Promise<void>) | undefined;
  /** Called after each part of decoding: a large image is decoded in several. */
  readonly onDecode?: ((done: number, total: number) => void) | undefined;
}

/** Share of a sampler's work that previews may add to it. */
const PREVIEW_SHARE = 0.2;
/** What is decoded within about a tenth of a second on two cores: there is always time for some. */
const CHEAP_FLOP = 20e9;

/** Steps from one preview to the next. */
export function previewInterval(steps: number, stepFlop: number, decodeFlop: number): number {
  if (decodeFlop <= CHEAP_FLOP) return Math.min(5, Math.ceil(steps / 4));
  return Math.ceil(decodeFlop / (PREVIEW_SHARE * stepFlop));
}

const DEFAULT_STEPS = 50;

export class Detokenizer {
  readonly #denoiser: Denoiser;
  readonly #decoder: LatentDecoder;
  readonly #settings: DetokenizerSettings;
  readonly #grid: LatentGrid;

  /** Nothing is opened yet; `sessions` may be shared with other detokenizers. Throws when the two networks do not fit each other. */
  constructor({ transformer, autoencoder }: DetokenizerParts, settings: DetokenizerSettings, sessions: SessionCache) {
    const { inChannels, inputSize } = transformer.config;
    if (inChannels !== autoencoder.config.latentChannels) {
      throw new ModelError(
        `The transformer makes latents of ${inChannels} channels, the autoencoder reads ${autoencoder.config.latentChannels}`,
      );
    }
    this.#denoiser = new Denoiser(transformer.config, transformer.weights, sessions);
    this.#decoder = new LatentDecoder(autoencoder.config, autoencoder.weights, sessions);
    this.#settings = settings;
    this.#grid = settings.latentGrid ?? [inputSize, inputSize];
  }

  /**
   * Makes one image. Equal requests, options and seeds give equal images. Throws the signal's reason when aborted, after the
   * step or the part of decoding that is going on.
   */
  async detokenize(request: DetokenizeRequest, options: DetokenizeOptions = {}): Promise<RgbImage> {
    const { seed = 0, steps = DEFAULT_STEPS, solver = "euler", guidance = 1, signal, onPreview } = options;
    signal?.throwIfAborted();
    const { velocity, stepFlop } = await this.#velocity(request, guidance);
    const interval = onPreview ? previewInterval(steps, stepFlop(), this.#decoder.flop(this.#grid)) : steps;
    const length = this.#denoiser.config.inChannels * this.#grid[0] * this.#grid[1];
    const noise = counterRandom(seed, "latents").fillNormal(new Float32Array(length));
    const onStep = async ({ step, estimate }: SamplerStep) => {
      await options.onStep?.(step, steps);
      if (!onPreview || step === steps || step % interval !== 0) return;
      await onPreview(await this.#decoder.decode(estimate(), this.#grid, { signal, isExtra: true }));
    };
    const sigmas = solver === "euler" ? demoSigmas : defaultSigmas;
    const levels = sigmas(steps);
    const latents = await sampleEuler(velocity, noise, levels, { signal, onStep });
    return this.#decoder.decode(latents, this.#grid, { signal, onPart: options.onDecode });
  }

  /** The guided velocity for one image: [uncond, cond] side by side, or cond alone when there is no guidance. */
  async #velocity(request: DetokenizeRequest, guidance: number): Promise<{ velocity: Velocity; stepFlop(): number }> {
    const C = this.#denoiser.config.captionChannels;
    const connected = request.isConnected ? request.condition : await this.#denoiser.connect(request.condition);
    const length = connected.length / C;
    const L = this.#settings.maxConditionLength ?? length;
    if (!Number.isInteger(length) || length < 1 || length > L) {
      throw new Error(`The condition has ${length} entries of width ${C}; expected 1 to ${L}`);
    }
    const y = new Float32Array(L * C);
    y.set(connected);
    const mask = new Float32Array(L).fill(1, 0, length);
    const positions = this.#positions(request, length, L);
    const prepare = async (y: Float32Array, mask: Float32Array, batch: number) => ({
      velocity: await this.#denoiser.prepare({ y, mask, batch }, this.#grid, positions),
      stepFlop: () => this.#denoiser.stepFlop(this.#grid, batch, L),
    });
    if (guidance === 1) return prepare(y, mask, 1);
    const nothing = await this.#denoiser.nullCondition(L);
    const both = await prepare(joinFloats([nothing.y, y]), joinFloats([nothing.mask, mask]), 2);
    return {
      ...both,
      velocity: async (x, timestep) => guide(await both.velocity(joinFloats([x, x]), timestep), guidance),
    };
  }

  #positions(
    request: DetokenizeRequest,
    conditionLength: number,
    maxConditionLength: number,
  ): CrossPositions | undefined {
    const { config } = this.#denoiser;
    if (!config.useCrossAttnRope) return undefined;
    return computePositions({
      scheme: this.#settings.positions,
      latentGrid: [this.#grid[0] / config.patchSize, this.#grid[1] / config.patchSize],
      codeGrid: request.codeGrid,
      conditionLength,
      maxConditionLength,
      imageSize: this.#grid[0] * pixelsPerLatent(this.#decoder.config),
    });
  }
}
