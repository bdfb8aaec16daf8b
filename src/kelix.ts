// The whole of Kelix in one file: images become codes, a language model reads and writes codes beside text, and a
// diffusion transformer turns codes, or what the language model thought while it wrote them, into images.
// The best place to start reading.

import { loadBackend } from "#backend";
import { checkLastSeed, checkModelName, checkPrompt } from "./arguments.ts";
import type { Checkpoint } from "./checkpoint/checkpoint.ts";
import { weightsFor } from "./checkpoint/device-weights.ts";
import { type ChatMessage, readConversation, type WidenedMessage } from "./conversation.ts";
import { type DetokenizeRequest, Detokenizer } from "./detokenizer/detokenizer.ts";
import { disposedError, InputError, ModelError } from "./errors.ts";
import type { ImageInput } from "./image/image-input.ts";
import { loadImage } from "./image/image-source.node.ts";
import type { PatchOptions } from "./image/patches.ts";
import { type ImageFit, preparedSizes } from "./image/processor.ts";
import type { RgbImage } from "./image/rgb.ts";
import type { PixelLimits } from "./image/smart-resize.ts";
import { blockVocabulary, languageModelConfig } from "./llm/config.ts";
import { checkImageFits, generate, type WrittenImage } from "./llm/generate.ts";
import { LanguageModel } from "./llm/language-model.ts";
import { PrefixCache, usualCacheBytes } from "./llm/prefix-cache.ts";
import type { SamplingOptions } from "./llm/sampling.ts";
import type { PreprocessorConfig } from "./model/config.ts";
import { checkModel, warnOfTwoOutputs } from "./model/declare.ts";
import { canDraw, chooseDetokenizer } from "./model/drawing.ts";
import { describeModel, type ModelInfo } from "./model/info.ts";
import { describeUnknownFields, languageConfig, type ModelFolder, openModelFolder } from "./model/open.ts";
import type { Source } from "./model/parts.ts";
import type {
  ChatOptions,
  ConditionPositions,
  DrawOptions,
  ImagineOptions,
  LoadOptions,
  ReconstructOptions,
  SampleOptions,
  TokenizeOptions,
  WorkOptions,
} from "./options.ts";
import { checkDrawingFits, checkPositionsFit, chooseWidening } from "./plan/memory-check.ts";
import { usualPositions } from "./plan/workload.ts";
import { type LoadSettings, readOptions } from "./read-options.ts";
import type { SessionOptions, WeightSource } from "./runtime/session.ts";
import { SessionCache } from "./runtime/session-cache.ts";
import { codesFromIds } from "./sequence/ids.ts";
import { blockCount } from "./sequence/layout.ts";
import { checkTextIds } from "./text/check-text.ts";
import { loadText, type TextFiles } from "./text/load-text.node.ts";
import { CodeCache } from "./vision/code-cache.ts";
import {
  type CodeLimits,
  type CodesInput,
  codeLimits,
  ImageCodes,
  isCodesInput,
  readCodes,
} from "./vision/image-codes.ts";
import { ImageTokenizer } from "./vision/image-tokenizer.ts";

/** An image that the model drew, with the codes that it wrote for it and the seed it was drawn from. */
export interface DrawnImage extends RgbImage {
  readonly codes: ImageCodes;
  readonly seed: number;
}

/** What a conversation answers with: pieces of text as they come, and finished images. */
export type ChatPiece = string | { readonly type: "image"; readonly image: DrawnImage };

/** Without options a conversation takes the likeliest tokens of text; codes of images are drawn as the model says. */
const greedy = { temperature: 0, topK: 0, topP: 1 };

/** What one drawing is made with. */
interface Drawing {
  readonly seed: number;
  readonly steps: number;
  readonly guidance: number;
  /** `training` if absent. */
  readonly positions?: ConditionPositions;
}

/** Language models up to this width run fastest on one thread: their products are too small to share. */
const SMALL_WIDTH = 512;

/** Images whose codes are remembered: some kilobytes each. */
const MAX_REMEMBERED_IMAGES = 64;

/** The language model, and rows that it has read. */
interface Language {
  readonly model: LanguageModel;
  readonly prefixes: PrefixCache;
}

export class Kelix implements AsyncDisposable {
  readonly #folder: ModelFolder;
  /** Absent where there is no language model. */
  readonly #text: TextFiles | undefined;
  readonly #options: SessionOptions;
  readonly #promptCacheBytes: number;
  readonly #ignoreMemory: boolean;
  readonly #codes: CodeCache;
  readonly #sources = new Map<Checkpoint, Promise<WeightSource>>();
  /** The sessions of what draws images. */
  readonly #drawing: SessionCache;
  /** What was found to fit into memory: sources and grids. */
  readonly #checkedSizes = new Set<string>();
  /** Positions of the largest image that was found to fit into memory. */
  #mostPositions: number | undefined;
  #tokenizer: Promise<ImageTokenizer> | undefined;
  #language: Promise<Language> | undefined;
  #isDisposed = false;

  private constructor(
    folder: ModelFolder,
    text: TextFiles | undefined,
    settings: LoadSettings,
    widening: SessionOptions["widening"],
  ) {
    const { device, threads, ignoreMemory, promptCacheBytes, drawingBytes } = settings;
    this.#folder = folder;
    this.#text = text;
    this.#options = { ...(device && { device }), ...(threads && { threads }), ...(widening && { widening }) };
    this.#ignoreMemory = ignoreMemory;
    this.#promptCacheBytes = promptCacheBytes ?? (folder.ar ? usualCacheBytes(folder.ar.qwen_config) : 0);
    this.#codes = new CodeCache(promptCacheBytes === 0 ? 0 : MAX_REMEMBERED_IMAGES);
    this.#drawing = new SessionCache(drawingBytes, this.#smallOptions);
  }

  /**
   * Opens a model: a built-in name ("kelix-nano"), a folder, or a repository of the Hub ("owner/name", "owner/name@revision"),
   * which is fetched into the Hugging Face cache if it is not there; in the layout of the released checkpoints. Every weight is
   * checked against the config before any is read; parts are loaded when they are first used. What images are drawn with may
   * be absent, or be named by `detokenizer` and `autoencoder`. Throws a ModelError that lists all that is missing or
   * misshapen, a MemoryError where the model cannot fit into memory, a FetchError where it cannot be fetched, and an InputError
   * for options that cannot be used.
   */
  static async load(name = process.env.KELIX_MODEL || "kelix-nano", options: LoadOptions = {}): Promise<Kelix> {
    checkModelName(name, "Kelix.load(name, options)");
    const settings = readOptions("load", options);
    const { device, signal, onProgress, onWarning, ignoreMemory } = settings;
    signal?.throwIfAborted();
    if (device && device !== "cpu") await loadBackend(device); // refuses one that is not there
    let folder: ModelFolder | undefined;
    try {
      folder = await openModelFolder(name, {
        ...settings,
        onProgress: ({ doneBytes, totalBytes }) => onProgress?.({ task: "fetch", done: doneBytes, total: totalBytes }),
        onWait: ({ message }) => onWarning?.(message),
      });
      checkModel(folder);
      const widening = await chooseWidening(folder, ignoreMemory);
      await warnOfTwoOutputs(folder.weights, onWarning);
      if (folder.unknownFields.length > 0) onWarning?.(describeUnknownFields(folder));
      const text = folder.ar && (await loadText(folder.path));
      if (text && folder.ar) {
        const { qwen_config: qwen } = folder.ar;
        checkTextIds(text.tokenizer, { ...blockVocabulary(qwen), pad: qwen.pad_token_id });
      }
      signal?.throwIfAborted();
      onProgress?.({ task: "load", done: 1, total: 1 });
      return new Kelix(folder, text, settings, widening);
    } catch (error) {
      await folder?.close();
      throw signal?.aborted ? signal.reason : error;
    }
  }

  /** An image as codes: N for each position of its grid. */
  async tokenize(image: ImageInput, options: TokenizeOptions = {}): Promise<ImageCodes> {
    const settings = readOptions("tokenize", options);
    return this.#call(settings, () => this.#tokenize(image, settings));
  }

  /**
   * Pixels from codes alone, without the language model. An image given instead of codes is tokenized first, at the size of the
   * model's recipe.
   */
  async reconstruct(input: CodesInput | ImageInput, options: ReconstructOptions = {}): Promise<RgbImage> {
    const { reconstruct } = this.#folder.generation;
    const settings = readOptions("reconstruct", options);
    const { keepSize, fusion = reconstruct.fusion } = settings;
    const drawing = drawingOf(settings, reconstruct);
    return this.#call(settings, async () => {
      chooseDetokenizer(this.#folder, "codes", [1, 1]); // refuses before any work is done
      const { max_positions: maxPositions, image_size: imageSize } = reconstruct;
      const codes = isCodesInput(input)
        ? readCodes(input, this.#codeLimits)
        : await this.#tokenize(input, settings, { maxPositions, ...(!keepSize && { imageSize }) });
      const condition = await (await this.#openTokenizer()).embed(codes, fusion);
      return this.#draw("codes", { condition, isConnected: true, codeGrid: codes.grid }, drawing, settings);
    });
  }

  /** Answers a conversation, piece by piece. Images may stand anywhere in it. */
  async *chat(
    messages: readonly (ChatMessage | WidenedMessage)[],
    options: ChatOptions = {},
  ): AsyncGenerator<ChatPiece, void, void> {
    const settings = readOptions("chat", options);
    const { signal, maxNewTokens, promptLookupNumTokens } = settings;
    this.#refuseDisposed();
    try {
      const { imagine } = this.#folder.generation;
      const drawing = drawingOf(settings, imagine);
      const prompt = await this.#readConversation(messages, settings);
      const { model, prefixes } = await this.#openLanguage();
      const sequence = prefixes.take(prompt);
      const blocks = generate(model, sequence, prompt, {
        maxNewTokens,
        room: this.#room,
        blocksPerImage: imagine.grid[0] * imagine.grid[1],
        mayDraw: this.canImagine,
        seed: drawing.seed,
        ...samplingOf(settings, greedy),
        images: this.#imageSampling(settings),
        lookupBlocks: promptLookupNumTokens,
        ...(signal && { signal }),
      });
      const { tokenizer } = this.#words;
      const decoder = tokenizer.stream();
      try {
        for await (const { ids, kind, image } of blocks) {
          this.#refuseDisposed(); // the reader may have taken long over the last piece
          if (image) yield { type: "image", image: await this.#drawWritten(image, drawing, settings) };
          if (kind !== "text" || tokenizer.isSpecial(ids[0]!)) continue;
          const piece = decoder.push(ids[0]!);
          if (piece !== "") yield piece;
        }
      } finally {
        prefixes.keep(sequence);
      }
      const rest = decoder.end();
      if (rest !== "") yield rest;
    } catch (error) {
      throw this.#explain(error, signal);
    }
  }

  /**
   * An image for a prompt: the language model writes its codes, the diffusion transformer draws from its hidden states.
   * With `n` an array of images, of seeds one after the other.
   */
  imagine(prompt: string, options: ImagineOptions & { readonly n: number }): Promise<DrawnImage[]>;
  imagine(prompt: string, options?: ImagineOptions): Promise<DrawnImage>;
  async imagine(prompt: string, options: ImagineOptions = {}): Promise<DrawnImage | DrawnImage[]> {
    const { imagine } = this.#folder.generation;
    checkPrompt(prompt);
    const settings = readOptions("imagine", options);
    const { n = 1, positions } = settings;
    const drawing = { ...drawingOf(settings, imagine), positions };
    checkLastSeed(drawing.seed, n);
    return this.#call(settings, async () => {
      languageConfig(this.#folder); // refuses before any work is done, as does this:
      chooseDetokenizer(this.#folder, "hidden", imagine.grid, positions);
      if (!this.#ignoreMemory) await this.#checkDrawing("hidden", imagine.grid);
      const sampling = this.#imageSampling(settings);
      const images: DrawnImage[] = [];
      for (let i = 0; i < n; i++) {
        const own = { ...drawing, seed: drawing.seed + i };
        images.push(await this.#drawWritten(await this.#write(prompt, own.seed, sampling, settings), own, settings));
      }
      return settings.n === undefined ? images[0]! : images;
    });
  }

  /** Whether the model has what draws from the language model's thoughts; in a conversation it draws nothing otherwise. */
  get canImagine(): boolean {
    return canDraw(this.#folder, "hidden");
  }

  /** Sizes of the model's parts. */
  info(): ModelInfo {
    return describeModel(this.#folder);
  }

  /** Frees all sessions and files; the model cannot be used any more. Twice is as good as once. */
  async dispose(): Promise<void> {
    if (this.#isDisposed) return;
    this.#isDisposed = true;
    const language = this.#language?.then(({ model }) => model);
    const parts = [this.#tokenizer, language].map((part) => part?.catch(() => undefined));
    await Promise.all([...parts.map(async (part) => (await part)?.dispose()), this.#drawing.close()]);
    await this.#folder.close();
  }

  /** For `await using`. */
  [Symbol.asyncDispose](): Promise<void> {
    return this.dispose();
  }

  /** Positions that the language model reads and writes at most. */
  get #room(): number {
    return languageConfig(this.#folder).qwen_config.max_seq_len;
  }

  /** Tokenizer and chat template. Throws where the folder holds an image tokenizer alone. */
  get #words(): TextFiles {
    languageConfig(this.#folder);
    return this.#text!; // loaded with every language model
  }

  /** How codes of images are drawn: as the model says where the options do not. */
  #imageSampling(settings: SampleOptions): SamplingOptions {
    const { temperature, top_k: topK, top_p: topP } = this.#folder.generation.imagine;
    return samplingOf(settings, { temperature, topK, topP });
  }

  get #codeLimits(): CodeLimits {
    const { tokenizer, preprocessor } = this.#folder;
    return codeLimits(tokenizer, patchOptions(preprocessor), pixelLimits(preprocessor));
  }

  async #tokenize(input: ImageInput, { signal }: TokenizeOptions, fit: ImageFit = {}) {
    const image = await loadImage(input, { ...(signal && { signal }) });
    signal?.throwIfAborted();
    const tokenizer = await this.#openTokenizer();
    await this.#checkPositions(image, fit);
    return this.#codes.codesOf(image, JSON.stringify(fit), () => tokenizer.tokenize(image, fit));
  }

  /** Refuses, before it is resized, an image of more positions than fit into memory. */
  async #checkPositions(image: RgbImage, fit: ImageFit): Promise<void> {
    const { preprocessor } = this.#folder;
    const options = patchOptions(preprocessor);
    const { prepared } = preparedSizes(image, options, pixelLimits(preprocessor), fit);
    const positions = (prepared.width * prepared.height) / (options.patchSize * options.mergeSize) ** 2;
    this.#mostPositions ??= usualPositions(this.#folder); // loading made sure of these
    if (this.#ignoreMemory || positions <= this.#mostPositions) return;
    await checkPositionsFit(this.#folder, positions, this.#options.widening);
    this.#mostPositions = positions;
  }

  async #readConversation(
    messages: readonly (ChatMessage | WidenedMessage)[],
    options: WorkOptions,
    then: readonly number[] = [],
  ) {
    const reader = {
      text: this.#words,
      vocabulary: blockVocabulary(languageConfig(this.#folder).qwen_config),
      room: this.#room,
      tokenize: (image: ImageInput) => this.#tokenize(image, options),
      readCodes: (codes: CodesInput) => readCodes(codes, this.#codeLimits),
    };
    return readConversation(messages, reader, then);
  }

  /** The language model's image for a prompt. */
  async #write(prompt: string, seed: number, sampling: SamplingOptions, options: WorkOptions): Promise<WrittenImage> {
    const [rows, columns] = this.#folder.generation.imagine.grid;
    const positions = rows * columns;
    const vocabulary = blockVocabulary(languageConfig(this.#folder).qwen_config);
    const opening = [vocabulary.visionStart];
    const request = await this.#readConversation([{ role: "user", content: prompt }], options, opening);
    // Before the model is opened, which takes long.
    checkImageFits(blockCount(request, vocabulary), positions, this.#room);
    const { model, prefixes } = await this.#openLanguage();
    const sequence = prefixes.take(request);
    const blocks = generate(model, sequence, request, {
      maxNewBlocks: positions + 1,
      blocksPerImage: positions,
      seed,
      ...sampling,
      ...(options.signal && { signal: options.signal }),
    });
    let done = 0;
    try {
      for await (const { image } of blocks) {
        options.onProgress?.({ task: "write", done: ++done, total: positions + 1 });
        if (image) return image;
      }
    } finally {
      // Nobody asks about what was drawn here; the next image may have the same prompt.
      sequence.truncate(blockCount(request, model.vocabulary));
      prefixes.keep(sequence);
    }
    throw new ModelError(
      "the language model ended before its image was complete: its weights are not those of its config",
    );
  }

  async #drawWritten({ ids, hidden }: WrittenImage, drawing: Drawing, options: DrawOptions): Promise<DrawnImage> {
    const { grid } = this.#folder.generation.imagine;
    const image = await this.#draw("hidden", { condition: hidden, codeGrid: grid }, drawing, options);
    const codes = Uint16Array.from(codesFromIds(ids, blockVocabulary(languageConfig(this.#folder).qwen_config)));
    const { width, height } = image;
    return { ...image, codes: new ImageCodes({ grid, codes, width, height }), seed: drawing.seed };
  }

  async #draw(
    source: Source,
    request: DetokenizeRequest,
    { positions, ...drawing }: Drawing,
    { signal, onPreview, onProgress }: DrawOptions,
  ): Promise<RgbImage> {
    this.#refuseDisposed();
    const choice = chooseDetokenizer(this.#folder, source, request.codeGrid, positions);
    const { transformer, autoencoder, settings, solver } = choice;
    if (!this.#ignoreMemory) await this.#checkDrawing(source, request.codeGrid);
    const parts = {
      transformer: { config: transformer.config, weights: await this.#source(transformer.weights) },
      autoencoder: { config: autoencoder.config, weights: await this.#source(autoencoder.weights) },
    };
    return new Detokenizer(parts, settings, this.#drawing).detokenize(request, {
      ...drawing,
      solver,
      signal,
      onPreview,
      onStep: (done, total) => onProgress?.({ task: "draw", done, total }),
      onDecode: (done, total) => onProgress?.({ task: "decode", done, total }),
    });
  }

  /** Refuses, the first time that a size is drawn, what cannot fit into memory. */
  async #checkDrawing(source: Source, codeGrid: readonly [number, number]): Promise<void> {
    const key = `${source} ${codeGrid}`;
    if (this.#checkedSizes.has(key)) return;
    await checkDrawingFits(this.#folder, source, codeGrid, this.#drawing);
    this.#checkedSizes.add(key);
  }

  #openTokenizer(): Promise<ImageTokenizer> {
    this.#refuseDisposed();
    const { tokenizer, preprocessor, weights } = this.#folder;
    const [patches, limits] = [patchOptions(preprocessor), pixelLimits(preprocessor)];
    this.#tokenizer ??= this.#source(weights).then((source) =>
      ImageTokenizer.open(tokenizer, source, patches, limits, this.#options),
    );
    return this.#tokenizer;
  }

  #openLanguage(): Promise<Language> {
    this.#refuseDisposed();
    const { weights } = this.#folder;
    const ar = languageConfig(this.#folder);
    this.#language ??= this.#source(weights).then(async (source) => {
      const model = await LanguageModel.open(languageModelConfig(ar), source, this.#smallOptions);
      return { model, prefixes: new PrefixCache(model, this.#promptCacheBytes) };
    });
    return this.#language;
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
    const { ar, tokenizer } = this.#folder;
    const isSmall = (ar?.qwen_config.embed_dim ?? tokenizer.llm_hidden_size) <= SMALL_WIDTH;
    return { ...(isSmall && { threads: 1 }), ...this.#options };
  }

  /** Runs the work of one call. */
  async #call<T>({ signal }: TokenizeOptions, work: () => Promise<T>): Promise<T> {
    this.#refuseDisposed();
    try {
      return await work();
    } catch (error) {
      throw this.#explain(error, signal);
    }
  }

  /** Why work failed: by the signal, whose reason is given, or because the model was disposed of while it went on. */
  #explain(error: unknown, signal: AbortSignal | undefined): unknown {
    if (signal?.aborted) return signal.reason;
    if (!this.#isDisposed || error instanceof InputError) return error;
    return disposedError({ cause: error });
  }

  #refuseDisposed(): void {
    if (this.#isDisposed) throw disposedError();
  }
}

type DrawSettings = DrawOptions & { readonly seed: number };

function drawingOf({ seed, steps, guidance }: DrawSettings, defaults: Pick<Drawing, "steps" | "guidance">): Drawing {
  return { seed, steps: steps ?? defaults.steps, guidance: guidance ?? defaults.guidance };
}

function samplingOf({ temperature, topK, topP }: SampleOptions, defaults: SamplingOptions): SamplingOptions {
  return {
    temperature: temperature ?? defaults.temperature,
    topK: topK ?? defaults.topK,
    topP: topP ?? defaults.topP,
  };
}

function patchOptions({ patch_size, merge_size, image_mean, image_std }: PreprocessorConfig): PatchOptions {
  return { patchSize: patch_size, mergeSize: merge_size, mean: image_mean, std: image_std };
}

function pixelLimits({ min_pixels, max_pixels }: PreprocessorConfig): PixelLimits {
  return { minPixels: min_pixels, maxPixels: max_pixels };
}
