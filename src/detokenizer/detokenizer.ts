// The detokenizer, loaded: hidden states of the language model at a picture's blocks -> latents -> pixels.
// Owns the sessions of the diffusion transformer and of the autoencoder's decoder.

import type { Picture } from "../image/picture.ts";
import { pictureFromPlanes } from "../image/planes.ts";
import { counterRandom } from "../random/counter.ts";
import { f32 } from "../runtime/host-tensor.ts";
import { openSession, type Session, type SessionOptions, type WeightSource } from "../runtime/session.ts";
import { Graph } from "../tensor/graph.ts";
import { decode } from "./autoencoder.ts";
import { type AutoencoderConfig, type DitConfig, pixelsPerLatent } from "./config.ts";
import { Denoiser } from "./denoiser.ts";
import { DEFAULT_SHIFT, defaultSigmas, demoSigmas, dpmTimes } from "./flow-schedule.ts";
import { type CrossPositions, computePositions, type PositionRequest } from "./positions.ts";
import { guide, type SamplerStep, sampleDpm, sampleEuler, type Velocity } from "./samplers.ts";

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
  readonly latentGrid?: readonly [number, number];
  readonly flowShift?: number;
}

/** One picture to make. */
export interface DetokenizeRequest {
  /** [L, connector], or [L, C] for a model without a connector. */
  readonly condition: Float32Array;
  /** The condition is [L, C] already and passes by the connector: fused code embeddings. */
  readonly isConnected?: boolean;
  /** Rows and columns of the picture's codes. */
  readonly codeGrid: readonly [number, number];
}

/** The Euler schedules of the release's demo and of diffusers, and DPM-Solver++. */
export type Solver = "euler" | "euler-default" | "dpm";

export interface DetokenizeOptions {
  readonly seed?: number;
  readonly steps?: number;
  readonly solver?: Solver;
  /** Classifier-free guidance; 1 is none and costs half. */
  readonly guidance?: number;
  readonly signal?: AbortSignal | undefined;
  readonly onStep?: ((step: DetokenizeStep) => void | Promise<void>) | undefined;
}

export interface DetokenizeStep {
  readonly step: number;
  readonly steps: number;
  /** The picture as it would come out if the velocity stayed as it is; one run of the decoder. */
  preview(): Promise<Picture>;
}

export const MAX_STEPS = 1000;
const DEFAULT_STEPS = 50;

export class Detokenizer {
  readonly #denoiser: Denoiser;
  readonly #decoder: Session;
  readonly #settings: DetokenizerSettings;
  readonly #scale: number;

  private constructor(denoiser: Denoiser, decoder: Session, settings: DetokenizerSettings, scale: number) {
    this.#denoiser = denoiser;
    this.#decoder = decoder;
    this.#settings = settings;
    this.#scale = scale;
  }

  static async open(
    { transformer, autoencoder }: DetokenizerParts,
    settings: DetokenizerSettings,
    options: SessionOptions = {},
  ): Promise<Detokenizer> {
    const { inChannels } = transformer.config;
    if (inChannels !== autoencoder.config.latentChannels) {
      throw new Error(
        `The transformer makes latents of ${inChannels} channels, the autoencoder reads ${autoencoder.config.latentChannels}`,
      );
    }
    const denoiser = await Denoiser.open(transformer.config, transformer.weights, settings.latentGrid, options);
    try {
      const graph = decoderGraph(autoencoder.config, denoiser.latentGrid);
      const decoder = await openSession(graph, autoencoder.weights, options);
      return new Detokenizer(denoiser, decoder, settings, pixelsPerLatent(autoencoder.config));
    } catch (error) {
      await denoiser.dispose();
      throw error;
    }
  }

  /** Height and width of the pictures it makes, in pixels. */
  get pictureSize(): readonly [number, number] {
    const [h, w] = this.#denoiser.latentGrid;
    return [h * this.#scale, w * this.#scale];
  }

  /** Makes one picture. Equal requests, options and seeds give equal pictures. Throws the signal's reason when aborted. */
  async detokenize(request: DetokenizeRequest, options: DetokenizeOptions = {}): Promise<Picture> {
    const { seed = 0, steps = DEFAULT_STEPS, solver = "euler", guidance = 1, signal, onStep } = options;
    if (!Number.isInteger(steps) || steps < 1 || steps > MAX_STEPS) {
      throw new Error(`Expected \`steps\` to be an integer from 1 to ${MAX_STEPS}, got ${steps}`);
    }
    if (!Number.isFinite(guidance)) throw new Error(`Expected \`guidance\` to be a number, got ${guidance}`);
    const velocity = await this.#velocity(request, guidance, solver);
    const noise = counterRandom(seed, "latents").fillNormal(new Float32Array(this.#denoiser.latentLength));
    const watch = ({ step, steps, estimate }: SamplerStep) =>
      onStep?.({ step, steps, preview: () => this.decode(estimate()) });
    const latents = await solve(solver, velocity, noise, steps, this.#settings.flowShift ?? DEFAULT_SHIFT, {
      signal,
      onStep: watch,
    });
    return this.decode(latents);
  }

  /** Latents [in, h, w], as the transformer makes them -> the picture, rounded as in the release's demo. */
  async decode(latents: Float32Array): Promise<Picture> {
    const [h, w] = this.#denoiser.latentGrid;
    const { pixels } = await this.#decoder.run({ latents: f32(latents, [1, this.#denoiser.config.inChannels, h, w]) });
    return pictureFromPlanes(pixels!);
  }

  async dispose(): Promise<void> {
    await Promise.all([this.#denoiser.dispose(), this.#decoder.release()]);
  }

  /** The guided velocity for one picture: [uncond, cond] side by side, or cond alone when there is no guidance. */
  async #velocity(request: DetokenizeRequest, guidance: number, solver: Solver): Promise<Velocity> {
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
    if (guidance === 1) return this.#denoiser.prepare({ y, mask, batch: 1 }, positions);
    const nothing = this.#denoiser.nullCondition(L);
    // DPM-Solver's guidance in the reference gives the null half the condition's mask; Euler's its own.
    const nullMask = solver === "dpm" ? mask : nothing.mask;
    const both = { y: pair(nothing.y, y), mask: pair(nullMask, mask), batch: 2 };
    const velocity = await this.#denoiser.prepare(both, positions);
    return async (x, timestep) => guide(await velocity(pair(x, x), timestep), guidance);
  }

  #positions(
    request: DetokenizeRequest,
    conditionLength: number,
    maxConditionLength: number,
  ): CrossPositions | undefined {
    const { config, latentGrid } = this.#denoiser;
    if (!config.useCrossAttnRope) return undefined;
    return computePositions({
      scheme: this.#settings.positions,
      latentGrid: [latentGrid[0] / config.patchSize, latentGrid[1] / config.patchSize],
      codeGrid: request.codeGrid,
      conditionLength,
      maxConditionLength,
      imageSize: this.pictureSize[0],
    });
  }
}

/** Latents [1, Z, h, w] as the transformer makes them -> pixels [1, 3, height, width] in about [-1, 1]. */
export function decoderGraph(config: AutoencoderConfig, [h, w]: readonly [number, number]): Graph {
  const graph = new Graph();
  const latents = graph.input("latents", [1, config.latentChannels, h, w]);
  graph.output("pixels", decode(graph.params, latents.div(config.scalingFactor), config));
  return graph;
}

function solve(
  solver: Solver,
  velocity: Velocity,
  noise: Float32Array,
  steps: number,
  shift: number,
  options: Parameters<typeof sampleEuler>[3],
): Promise<Float32Array> {
  if (solver === "dpm") return sampleDpm(velocity, noise, dpmTimes(steps, shift), options);
  const sigmas = solver === "euler" ? demoSigmas(steps, shift) : defaultSigmas(steps, shift);
  return sampleEuler(velocity, noise, sigmas, options);
}

function pair(a: Float32Array, b: Float32Array): Float32Array {
  const out = new Float32Array(a.length + b.length);
  out.set(a);
  out.set(b, a.length);
  return out;
}
