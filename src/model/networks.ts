// The networks of an opened model, ready to run: each is loaded when it is first used, once, and released with the others. Rejects
// what does not fit into memory before it is loaded.

import type { Checkpoint } from "../checkpoint/checkpoint.ts";
import { weightsFor } from "../checkpoint/device-weights.ts";
import { type DetokenizeOptions, type DetokenizeRequest, Detokenizer } from "../detokenizer/detokenizer.ts";
import { disposedError } from "../errors.ts";
import { type ImageFit, preparedSizes } from "../image/processor.ts";
import type { RgbImage } from "../image/rgb.ts";
import { languageModelConfig } from "../llm/config.ts";
import { LanguageModel } from "../llm/language-model.ts";
import { PrefixCache, usualCacheBytes } from "../llm/prefix-cache.ts";
import type { MemoryGuard } from "../platform.ts";
import type { LoadSettings } from "../read-options.ts";
import { DeviceLog, type NetworkPlace } from "../receipt/device-log.ts";
import type { SessionOptions, WeightSource } from "../runtime/session.ts";
import { SessionCache } from "../runtime/session-cache.ts";
import { Turns } from "../runtime/turns.ts";
import { CodeCache } from "../vision/code-cache.ts";
import type { ImageCodes } from "../vision/image-codes.ts";
import { ImageTokenizer } from "../vision/image-tokenizer.ts";
import { withAdapter } from "./adapter.ts";
import { preparationOf } from "./config.ts";
import type { DetokenizerChoice } from "./drawing.ts";
import type { ModelInfo } from "./info.ts";
import { languageConfig, type OpenedModel } from "./open.ts";

/** Language models up to this width run fastest on one thread: their products are too small to share. */
const SMALL_WIDTH = 512;

/** Images whose codes are remembered: some kilobytes each. */
const MAX_REMEMBERED_IMAGES = 64;

/** The language model, and the rows that it has read. */
export interface Language {
  readonly model: LanguageModel;
  readonly prefixes: PrefixCache;
}

/** What is known of a model that is loaded. */
export interface LoadedModelInfo extends ModelInfo {
  /** On which device each network runs, and why. One that was not used yet is absent. */
  readonly devices: readonly NetworkPlace[];
}

export interface EncodeOptions {
  readonly fit?: ImageFit;
  /** See TokenizeOptions. */
  readonly cacheKey?: string | undefined;
  /** Called where an image is encoded, whose codes were not known from an earlier call. */
  readonly onEncode?: () => void;
}

export class Networks {
  readonly #model: OpenedModel;
  readonly #memory: MemoryGuard;
  readonly #options: SessionOptions;
  readonly #promptCacheBytes: number;
  readonly #codes: CodeCache;
  readonly #sources = new Map<Checkpoint, Promise<WeightSource>>();
  /** Sessions of what draws images. */
  readonly #drawing: SessionCache;
  /**
   * Images are decoded one at a time: together they would take as long, each would come last, and large networks would push each
   * other out of memory.
   */
  readonly #turns = new Turns();
  readonly devices = new DeviceLog();
  #tokenizer: Promise<ImageTokenizer> | undefined;
  #language: Promise<Language> | undefined;
  #isDisposed = false;

  constructor(model: OpenedModel, memory: MemoryGuard, settings: LoadSettings) {
    const { device, threads, promptCacheBytes, drawingBytes } = settings;
    this.#model = model;
    this.#memory = memory;
    this.#options = { device, ...(threads && { threads }), widening: memory.widening, onPlaced: this.devices.place };
    this.#promptCacheBytes = promptCacheBytes ?? (model.ar ? usualCacheBytes(model.ar.qwen_config) : 0);
    this.#codes = new CodeCache(promptCacheBytes === 0 ? 0 : MAX_REMEMBERED_IMAGES);
    this.#drawing = new SessionCache(drawingBytes, this.#smallOptions);
  }

  get isDisposed(): boolean {
    return this.#isDisposed;
  }

  refuseDisposed(): void {
    if (this.#isDisposed) throw disposedError();
  }

  /** The codes of an image. Those of the last images are remembered for calls with the same key. */
  async encode(image: RgbImage, { fit = {}, cacheKey, onEncode }: EncodeOptions): Promise<ImageCodes> {
    const tokenizer = await this.tokenizer();
    const { preprocessor } = this.#model;
    const { prepared } = preparedSizes(image, preparationOf(preprocessor), fit);
    const positionPixels = (preprocessor.patch_size * preprocessor.merge_size) ** 2;
    await this.#memory.checkPositions((prepared.width * prepared.height) / positionPixels);
    return this.#codes.codesOf(image, JSON.stringify([fit, cacheKey]), () => {
      onEncode?.();
      return tokenizer.tokenize(image, fit);
    });
  }

  /** What turns images into codes, and codes into embeddings. */
  tokenizer(): Promise<ImageTokenizer> {
    this.refuseDisposed();
    const { tokenizer, preprocessor, weights } = this.#model;
    this.#tokenizer ??= this.#source(weights).then((source) =>
      ImageTokenizer.open(tokenizer, source, preparationOf(preprocessor), this.#options),
    );
    return this.#tokenizer;
  }

  /** Throws where there is no language model. */
  language(): Promise<Language> {
    this.refuseDisposed();
    const ar = languageConfig(this.#model);
    const { weights, adapter } = this.#model;
    this.#language ??= this.#source(weights).then(async (source) => {
      const adapted = adapter ? withAdapter(source, adapter) : source;
      const model = await LanguageModel.open(languageModelConfig(ar), adapted, this.#smallOptions);
      return { model, prefixes: new PrefixCache(model, this.#promptCacheBytes) };
    });
    return this.#language;
  }

  /** Throws a MemoryError unless an image of this grid can be drawn. */
  checkDrawing({ source }: DetokenizerChoice, codeGrid: readonly [number, number]): Promise<void> {
    return this.#memory.checkDrawing(source, codeGrid, this.#drawing);
  }

  /** Decodes an image. What does so is loaded, and may be released again, within a limit of memory. */
  async decode(choice: DetokenizerChoice, request: DetokenizeRequest, options: DetokenizeOptions): Promise<RgbImage> {
    this.refuseDisposed();
    const { transformer, autoencoder, solver, settingsFor } = choice;
    await this.checkDrawing(choice, request.codeGrid);
    const parts = {
      transformer: { config: transformer.config, weights: await this.#source(transformer.weights) },
      autoencoder: { config: autoencoder.config, weights: await this.#source(autoencoder.weights) },
    };
    const detokenizer = new Detokenizer(parts, settingsFor(request.codeGrid), this.#drawing);
    return this.#turns.take(async (pause) => {
      this.refuseDisposed();
      return detokenizer.detokenize(request, {
        ...options,
        solver,
        onStep: options.onStep && ((step, steps) => pause(() => options.onStep?.(step, steps))),
        onPreview: options.onPreview && ((image) => pause(() => options.onPreview?.(image))),
      });
    }, options.signal);
  }

  /** Releases all sessions. Safe to call twice. */
  async dispose(): Promise<void> {
    this.#isDisposed = true;
    const language = this.#language?.then(({ model }) => model);
    const parts = [this.#tokenizer, language].map((part) => part?.catch(() => undefined));
    await Promise.all([...parts.map(async (part) => (await part)?.dispose()), this.#drawing.close()]);
  }

  /** A checkpoint's weights as the device reads them. */
  #source(checkpoint: Checkpoint): Promise<WeightSource> {
    let source = this.#sources.get(checkpoint);
    if (!source) {
      source = weightsFor(this.#options.device ?? "cpu", checkpoint);
      this.#sources.set(checkpoint, source);
    }
    return source;
  }

  get #smallOptions(): SessionOptions {
    const { ar, tokenizer } = this.#model;
    const isSmall = (ar?.qwen_config.embed_dim ?? tokenizer.llm_hidden_size) <= SMALL_WIDTH;
    return { ...(isSmall && { threads: 1 }), ...this.#options };
  }
}
