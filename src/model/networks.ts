// The networks of an opened model, ready to run: each is loaded when it is first used, once, and released with the others. Says
// also what does not fit into memory, before it is loaded.

import type { Checkpoint } from "../checkpoint/checkpoint.ts";
import { weightsFor } from "../checkpoint/device-weights.ts";
import { type DetokenizeOptions, type DetokenizeRequest, Detokenizer } from "../detokenizer/detokenizer.ts";
import type { RgbImage } from "../image/rgb.ts";
import { languageModelConfig } from "../llm/config.ts";
import { LanguageModel } from "../llm/language-model.ts";
import { PrefixCache, usualCacheBytes } from "../llm/prefix-cache.ts";
import type { LoadSettings } from "../read-options.ts";
import type { SessionOptions, WeightSource } from "../runtime/session.ts";
import { SessionCache } from "../runtime/session-cache.ts";
import { ImageTokenizer } from "../vision/image-tokenizer.ts";
import { patchOptions, pixelLimits } from "./config.ts";
import type { DetokenizerChoice } from "./drawing.ts";
import { languageConfig, type ModelFolder } from "./open.ts";

/** Language models up to this width run fastest on one thread: their products are too small to share. */
const SMALL_WIDTH = 512;

/** The language model, and the rows that it has read. */
export interface Language {
  readonly model: LanguageModel;
  readonly prefixes: PrefixCache;
}

export class Networks {
  readonly #model: ModelFolder;
  readonly #options: SessionOptions;
  readonly #promptCacheBytes: number;
  readonly #sources = new Map<Checkpoint, Promise<WeightSource>>();
  /** Sessions of what draws images. */
  readonly drawing: SessionCache;
  #tokenizer: Promise<ImageTokenizer> | undefined;
  #language: Promise<Language> | undefined;

  constructor(model: ModelFolder, settings: LoadSettings, widening: SessionOptions["widening"]) {
    const { device, threads, promptCacheBytes, drawingBytes } = settings;
    this.#model = model;
    this.#options = { ...(device && { device }), ...(threads && { threads }), ...(widening && { widening }) };
    this.#promptCacheBytes = promptCacheBytes ?? (model.ar ? usualCacheBytes(model.ar.qwen_config) : 0);
    this.drawing = new SessionCache(drawingBytes, this.#smallOptions);
  }

  /** What turns images into codes, and codes into embeddings. */
  tokenizer(): Promise<ImageTokenizer> {
    const { tokenizer, preprocessor, weights } = this.#model;
    this.#tokenizer ??= this.#source(weights).then((source) =>
      ImageTokenizer.open(tokenizer, source, patchOptions(preprocessor), pixelLimits(preprocessor), this.#options),
    );
    return this.#tokenizer;
  }

  /** Throws where there is no language model. */
  language(): Promise<Language> {
    const ar = languageConfig(this.#model);
    this.#language ??= this.#source(this.#model.weights).then(async (source) => {
      const model = await LanguageModel.open(languageModelConfig(ar), source, this.#smallOptions);
      return { model, prefixes: new PrefixCache(model, this.#promptCacheBytes) };
    });
    return this.#language;
  }

  /** Decodes an image. What does so is loaded, and may be released again, within a limit of memory. */
  async decode(
    { transformer, autoencoder, solver, settingsFor }: DetokenizerChoice,
    request: DetokenizeRequest,
    options: DetokenizeOptions,
  ): Promise<RgbImage> {
    const parts = {
      transformer: { config: transformer.config, weights: await this.#source(transformer.weights) },
      autoencoder: { config: autoencoder.config, weights: await this.#source(autoencoder.weights) },
    };
    const detokenizer = new Detokenizer(parts, settingsFor(request.codeGrid), this.drawing);
    return detokenizer.detokenize(request, { ...options, solver });
  }

  /** Releases all sessions. */
  async dispose(): Promise<void> {
    const language = this.#language?.then(({ model }) => model);
    const parts = [this.#tokenizer, language].map((part) => part?.catch(() => undefined));
    await Promise.all([...parts.map(async (part) => (await part)?.dispose()), this.drawing.close()]);
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
