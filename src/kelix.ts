// The whole of Kelix in one file: pictures become codes, a language model reads and writes codes beside text, and a
// diffusion transformer turns codes, or what the language model thought while it wrote them, into pictures.
// The best place to start reading.

import { openModelFolder, type ModelFolder } from "./checkpoint/model-folder.ts";
import { Detokenizer } from "./detokenizer/detokenizer.ts";
import { pixelsPerLatent } from "./detokenizer/config.ts";
import { loadImage } from "./image/image-source.node.ts";
import type { ImageInput, Picture } from "./image/picture.ts";
import { blockVocabulary, languageModelConfig } from "./llm/config.ts";
import { generate } from "./llm/generate.ts";
import { LanguageModel } from "./llm/language-model.ts";
import type { Device, SessionOptions } from "./runtime/session.ts";
import { expandRow } from "./sequence/blocks.ts";
import { idsFromCodes } from "./sequence/ids.ts";
import { type Message, picturesOf } from "./text/chat-template.ts";
import { loadText, type TextFiles } from "./text/load-text.node.ts";
import { checkModel } from "./model-check.ts";
import { bookSize } from "./vision/config.ts";
import { type ImageCodes, PictureTokenizer } from "./vision/picture-tokenizer.ts";

export interface LoadOptions {
  readonly device?: Device;
  /** Threads of one operation. */
  readonly threads?: number;
  readonly onProgress?: (progress: Progress) => void;
  readonly signal?: AbortSignal;
}

/** Where long work has got to. */
export interface Progress {
  readonly task: "load" | "write" | "draw";
  readonly done: number;
  readonly total: number;
}

/** Options of long work. */
export interface WorkOptions {
  /** The same seed gives the same result. Whole, from 0 to 2^53 - 1. */
  readonly seed?: number;
  readonly signal?: AbortSignal;
  readonly onProgress?: (progress: Progress) => void;
}

export interface DrawOptions extends WorkOptions {
  /** Steps of the sampler, 1 to 1000. */
  readonly steps?: number;
  /** Classifier-free guidance; 1 is none. */
  readonly guidance?: number;
  /** Called with the picture as it looks after each step. */
  readonly onPreview?: (picture: Picture) => void | Promise<void>;
}

/** How tokens are drawn: names as in transformers and the OpenAI API. */
export interface SampleOptions {
  /** 0 takes the likeliest. */
  readonly temperature?: number;
  readonly topK?: number;
  readonly topP?: number;
}

export interface ChatOptions extends SampleOptions, DrawOptions {
  /** Blocks to write at most: a token of text or a position of a picture each. */
  readonly maxNewTokens?: number;
}

export interface ImagineOptions extends SampleOptions, DrawOptions {}

/** What a conversation answers with: pieces of text as they come, and finished pictures. */
export type ChatPiece = string | { readonly type: "image"; readonly image: Picture };

/** A turn: text, or parts of text and images in any order. */
export type ChatMessage = Message<ImageInput>;

/** What is known of a loaded model. */
export interface ModelInfo {
  readonly path: string;
  readonly parameters: Readonly<Record<"vision" | "languageModel" | "diffusionTransformer" | "autoencoder", number>>;
  readonly codebooks: number;
  readonly codesPerBook: number;
  readonly vocabulary: number;
  readonly width: number;
  readonly layers: number;
}

const DEFAULT_MAX_NEW_TOKENS = 256;
/** Language models up to this width run fastest on one thread: their products are too small to share. */
const SMALL_WIDTH = 512;

export class Kelix {
  readonly #folder: ModelFolder;
  readonly #text: TextFiles;
  readonly #options: SessionOptions;
  #tokenizer: Promise<PictureTokenizer> | undefined;
  #language: Promise<LanguageModel> | undefined;
  readonly #detokenizers = new Map<string, Promise<Detokenizer>>();

  private constructor(folder: ModelFolder, text: TextFiles, options: SessionOptions) {
    this.#folder = folder;
    this.#text = text;
    this.#options = options;
  }

  /**
   * Opens a model: a built-in name ("kelix-nano") or a folder. Every weight is checked against the config before any is
   * read; parts are loaded when they are first used. Throws a CheckpointError that lists all that is missing or misshapen.
   */
  static async load(name = process.env["KELIX_MODEL"] ?? "kelix-nano", options: LoadOptions = {}): Promise<Kelix> {
    const { device, threads, signal, onProgress } = options;
    signal?.throwIfAborted();
    const folder = await openModelFolder(name);
    try {
      checkModel(folder);
      const text = await loadText(folder.path);
      signal?.throwIfAborted();
      onProgress?.({ task: "load", done: 1, total: 1 });
      return new Kelix(folder, text, { ...(device && { device }), ...(threads && { threads }) });
    } catch (error) {
      await folder.close();
      throw error;
    }
  }

  /** A picture as codes: N for each position of its grid. */
  async tokenize(image: ImageInput): Promise<ImageCodes> {
    return (await this.#openTokenizer()).tokenize(await loadImage(image));
  }

  /** Pixels from codes alone, without the language model. A picture given instead of codes is tokenized first. */
  async reconstruct(input: ImageCodes | ImageInput, options: DrawOptions = {}): Promise<Picture> {
    const tokenizer = await this.#openTokenizer();
    const codes = isCodes(input) ? input : await this.tokenize(input);
    const condition = await tokenizer.embed(codes);
    const { steps, guidance } = this.#folder.generation.reconstruct;
    return this.#draw({ condition, isConnected: true, codeGrid: codes.grid }, { steps, guidance, ...defined(options) });
  }

  /** Answers a conversation, piece by piece. Pictures may stand anywhere in it. */
  async *chat(messages: readonly ChatMessage[], options: ChatOptions = {}): AsyncGenerator<ChatPiece, void, void> {
    const { maxNewTokens = DEFAULT_MAX_NEW_TOKENS, signal } = options;
    const prompt = await this.#readConversation(messages);
    const { grid } = this.#folder.generation.imagine;
    const language = await this.#openLanguage();
    const blocks = generate(language, language.start(), prompt, {
      maxNewBlocks: maxNewTokens,
      blocksPerPicture: grid[0] * grid[1],
      ...sampling(options, { temperature: 0, topK: 0, topP: 1 }),
    });
    const decoder = this.#text.tokenizer.stream();
    for await (const block of blocks) {
      signal?.throwIfAborted();
      if (block.picture) yield { type: "image", image: await this.#drawHidden(block.picture.hidden, grid, options) };
      const [id] = block.ids;
      if (block.kind !== "text" || this.#text.tokenizer.isSpecial(id!)) continue;
      const piece = decoder.push(id!);
      if (piece !== "") yield piece;
    }
    const rest = decoder.end();
    if (rest !== "") yield rest;
  }

  /** A picture for a prompt: the language model writes its codes, the diffusion transformer draws what it thought of. */
  async imagine(prompt: string, options: ImagineOptions = {}): Promise<Picture> {
    const { imagine } = this.#folder.generation;
    const { grid } = imagine;
    const positions = grid[0] * grid[1];
    const request = await this.#readConversation([{ role: "user", content: prompt }], [this.#text.tokenizer.special("<|vision_start|>")]);
    const language = await this.#openLanguage();
    const defaults = { temperature: imagine.temperature, topK: imagine.top_k, topP: imagine.top_p };
    const blocks = generate(language, language.start(), request, { maxNewBlocks: positions + 1, blocksPerPicture: positions, ...sampling(options, defaults) });
    let done = 0;
    for await (const block of blocks) {
      options.onProgress?.({ task: "write", done: ++done, total: positions + 1 });
      if (block.picture) return this.#drawHidden(block.picture.hidden, grid, options);
    }
    throw new Error("the language model ended before its picture was complete");
  }

  /** Sizes of the model's parts. */
  info(): ModelInfo {
    const { path, ar, weights, detokenizer } = this.#folder;
    const count = (names: readonly string[], find: (name: string) => { readonly shape: readonly number[] } | undefined) =>
      names.reduce((sum, name) => sum + find(name)!.shape.reduce((a, b) => a * b, 1), 0);
    const all = ({ names, find }: typeof weights, keep = (_: string) => true) => count(names().filter(keep), find);
    const isVision = (name: string) => name.startsWith("visual_tokenizer.");
    return {
      path,
      parameters: {
        vision: all(weights, isVision),
        languageModel: all(weights, (name) => !isVision(name)),
        diffusionTransformer: all(detokenizer.transformer.weights),
        autoencoder: all(detokenizer.autoencoder.weights),
      },
      codebooks: ar.qwen_config.n_q_tokens,
      codesPerBook: bookSize(ar.tokenizer_config),
      vocabulary: ar.qwen_config.vocab_size,
      width: ar.qwen_config.embed_dim,
      layers: ar.qwen_config.num_layers,
    };
  }

  /** Frees all sessions and files. */
  async dispose(): Promise<void> {
    const parts = [this.#tokenizer, this.#language, ...this.#detokenizers.values()];
    this.#tokenizer = undefined;
    this.#language = undefined;
    this.#detokenizers.clear();
    await Promise.all(parts.map(async (part) => (await part)?.dispose()));
    await this.#folder.close();
  }

  /** A conversation as blocks [T, N+1], its pictures as codes, with the answer's turn opened and `then` ids appended. */
  async #readConversation(messages: readonly ChatMessage[], then: readonly number[] = []): Promise<Int32Array> {
    const vocabulary = blockVocabulary(this.#folder.ar.qwen_config);
    const pictures = await Promise.all(picturesOf(messages).map((image) => this.tokenize(image)));
    const row: number[] = [];
    let next = 0;
    for (const id of this.#text.chatTemplate.encode(messages, this.#text.tokenizer)) {
      if (id !== vocabulary.imagePad) row.push(id);
      else {
        const [rows, columns] = pictures[next++]!.grid;
        for (let i = 0; i < rows * columns; i++) row.push(id);
      }
    }
    const { max_seq_len: room } = this.#folder.ar.qwen_config;
    if (row.length > room) throw new Error(`The conversation has ${row.length} positions; this model reads at most ${room}`);
    const ids = pictures.flatMap(({ codes }) => [...idsFromCodes(codes, vocabulary)]);
    return expandRow([...row, ...then], ids, vocabulary);
  }

  #drawHidden(hidden: Float32Array, grid: readonly [number, number], options: DrawOptions): Promise<Picture> {
    const { steps, guidance } = this.#folder.generation.imagine;
    return this.#draw({ condition: hidden, codeGrid: grid }, { steps, guidance, ...defined(options) });
  }

  async #draw(request: Parameters<Detokenizer["detokenize"]>[0], options: DrawOptions): Promise<Picture> {
    const { seed, steps, guidance, signal, onPreview, onProgress } = options;
    const detokenizer = await this.#openDetokenizer(request.codeGrid);
    return detokenizer.detokenize(request, {
      ...defined({ seed, steps, guidance, signal }),
      async onStep({ step, steps: total, preview }) {
        onProgress?.({ task: "draw", done: step, total });
        await onPreview?.(await preview());
      },
    });
  }

  #openTokenizer(): Promise<PictureTokenizer> {
    const { ar, preprocessor, weights } = this.#folder;
    const { patch_size, merge_size, image_mean, image_std, min_pixels, max_pixels } = preprocessor;
    const patches = { patchSize: patch_size, mergeSize: merge_size, mean: image_mean, std: image_std };
    this.#tokenizer ??= PictureTokenizer.open(ar.tokenizer_config, weights, patches, { minPixels: min_pixels, maxPixels: max_pixels }, this.#options);
    return this.#tokenizer;
  }

  #openLanguage(): Promise<LanguageModel> {
    const { ar, weights } = this.#folder;
    const isSmall = ar.qwen_config.embed_dim <= SMALL_WIDTH;
    this.#language ??= LanguageModel.open(languageModelConfig(ar), weights, { ...(isSmall && { threads: 1 }), ...this.#options });
    return this.#language;
  }

  /** One detokenizer for each grid of codes: the transformer's latents have a fixed size. */
  #openDetokenizer([rows, columns]: readonly [number, number]): Promise<Detokenizer> {
    const key = `${rows} x ${columns}`;
    let opened = this.#detokenizers.get(key);
    if (!opened) {
      const { detokenizer, ar, preprocessor } = this.#folder;
      const scale = (preprocessor.patch_size * preprocessor.merge_size) / pixelsPerLatent(detokenizer.autoencoder.config);
      const positions = rows * columns + 2;
      const settings = { maxConditionLength: positions, positions: "raster", latentGrid: [Math.round(rows * scale), Math.round(columns * scale)] } as const;
      const isSmall = ar.qwen_config.embed_dim <= SMALL_WIDTH;
      opened = Detokenizer.open(detokenizer, settings, { ...(isSmall && { threads: 1 }), ...this.#options });
      this.#detokenizers.set(key, opened);
    }
    return opened;
  }
}

function isCodes(input: ImageCodes | ImageInput): input is ImageCodes {
  return typeof input === "object" && "codes" in input && "grid" in input;
}

function sampling({ temperature, topK, topP, seed, signal }: SampleOptions & WorkOptions, defaults: Required<SampleOptions>) {
  return { ...defaults, ...defined({ temperature, topK, topP, seed, signal }) };
}

/** The options that were given: an explicit undefined counts as absent. */
function defined<T extends object>(options: T): { [K in keyof T]: Exclude<T[K], undefined> } {
  return Object.fromEntries(Object.entries(options).filter(([, value]) => value !== undefined)) as never;
}
