// The whole of Kelix in one file: images become codes, a language model reads and writes codes beside text, and a diffusion
// transformer decodes images from the language model's hidden states, or from the codes alone. The best place to start reading.

import { platform } from "#platform";
import { checkLastSeed, checkPrompt } from "./arguments.ts";
import { type Answer, Chat, type Tally } from "./chat/chat.ts";
import { type ChatMessage, lastTurn, type WidenedMessage } from "./chat/conversation.ts";
import { checkMessages } from "./chat/message-check.ts";
import { type TokenScore, tokenScores } from "./chat/score.ts";
import { decoding, type ImageOpening, Writer } from "./chat/writer.ts";
import { disposedError, InputError } from "./errors.ts";
import { Image } from "./image/image.ts";
import type { ImageInput } from "./image/image-input.ts";
import { scoreBlocks } from "./llm/likelihood.ts";
import { canDraw, chooseDetokenizer, needUpProjectors } from "./model/drawing.ts";
import type { DrawnImage } from "./model/drawn-image.ts";
import { ImageReader, type ReadInput } from "./model/image-reader.ts";
import { describeModel } from "./model/info.ts";
import { type LoadedModel, loadModel } from "./model/load.ts";
import { type LoadedModelInfo, Networks } from "./model/networks.ts";
import { languageConfig, type OpenedModel } from "./model/open.ts";
import type * as Options from "./options.ts";
import type { ModelSource } from "./platform.ts";
import { type LoadSettings, readOptions } from "./read-options.ts";
import { ReceiptWriter, receiptCodes } from "./receipt/write.ts";
import { idsFromCodes } from "./sequence/ids.ts";
import type { ImageCodes } from "./vision/image-codes.ts";

type Messages = readonly (ChatMessage | WidenedMessage)[];

export class Kelix implements AsyncDisposable {
  readonly #model: OpenedModel;
  readonly #networks: Networks;
  readonly #images: ImageReader;
  readonly #writer: Writer;
  readonly #receipts: ReceiptWriter;

  private constructor({ model, memory }: LoadedModel, settings: LoadSettings) {
    this.#model = model;
    this.#networks = new Networks(model, memory, settings);
    this.#images = new ImageReader(model, this.#networks);
    this.#receipts = new ReceiptWriter(model, settings, this.#networks);
    this.#writer = new Writer(model, this.#networks, this.#receipts);
  }

  /**
   * Opens a model in the layout of the released checkpoints: in Node a built-in name ("kelix-nano"), a folder, or a repository of
   * the Hub ("owner/name", "owner/name@revision"), which is fetched into the Hugging Face cache; in a browser the URL of a folder
   * that has a files.json, or a repository of the Hub, kept in the browser's cache; in both a list of its files. Every weight is
   * checked against the config before any is read; parts are loaded when they are first used. What images are drawn with may
   * be absent, or be named by `detokenizer` and `autoencoder`. Throws a ModelError that lists all that is missing or
   * misshapen, a MemoryError where the model cannot fit into memory, a FetchError where it cannot be fetched, and an InputError
   * for options that cannot be used.
   */
  static async load(source: ModelSource = platform.defaultModel(), options: Options.LoadOptions = {}): Promise<Kelix> {
    const settings = readOptions("load", options);
    return new Kelix(await loadModel(source, settings), settings);
  }

  /** An image as codes: N for each position of its grid. */
  async tokenize(image: ImageInput, options: Options.TokenizeOptions = {}): Promise<ImageCodes> {
    const settings = readOptions("tokenize", options);
    return this.#call(settings, () => this.#images.tokenize(image, settings));
  }

  /**
   * Decodes an image from codes alone, without the language model. An image given instead of codes is tokenized first, at the size of
   * the model's recipe.
   */
  async reconstruct(input: ReadInput, options: Options.ReconstructOptions = {}): Promise<Image> {
    const settings = readOptions("reconstruct", options);
    return this.#call(settings, async () => {
      const { reconstruct } = this.#model.generation;
      const { signal, cacheKey, keepSize, fusion = reconstruct.fusion } = settings;
      const choice = chooseDetokenizer(this.#model, "codes"); // throws before any work is done
      const began = this.#networks.devices.mark();
      const fit = { maxPositions: reconstruct.max_positions, ...(!keepSize && { imageSize: reconstruct.image_size }) };
      const codes = await this.#images.codesOf(input, { signal, cacheKey, fit });
      const condition = await (await this.#networks.tokenizer()).embed(codes, fusion);
      const wanted = { condition, isConnected: true, codeGrid: codes.grid };
      const decode = decoding(settings, reconstruct);
      const pixels = await this.#networks.decode(choice, wanted, decode);
      if (!settings.receipt) return new Image(pixels);
      const { seed, steps, guidance } = { ...reconstruct, ...decode, seed: settings.seed };
      const request = { call: "reconstruct", steps, guidance, fusion, image: await receiptCodes(codes) } as const;
      const drawing = { request, seed, pixels, codes, isAlone: true, began };
      return new Image(pixels, await this.#receipts.receiptOf(drawing));
    });
  }

  /** What the model says about an image, in answer to `prompt`. */
  async describe(image: ReadInput, options: Options.DescribeOptions = {}): Promise<string> {
    const { prompt, ...settings } = readOptions("describe", options);
    const codes = await this.#call(settings, () => this.#images.codesOf(image, settings));
    const content = [{ type: "image", image: codes } as const, { type: "text", text: prompt } as const];
    const asked = { ...settings, mayDraw: false };
    const chat = new Chat((usage) => this.#answer([{ role: "user", content }], asked, usage));
    return (await chat.result()).text.trim();
  }

  /**
   * Answers a conversation, in which images may stand anywhere: `for await` gives events as they come, `result()` the whole. What is
   * wrong with the arguments is thrown there.
   */
  chat(messages: Messages, options: Options.ChatOptions = {}): Chat {
    return new Chat((usage) => this.#answer(messages, options, usage));
  }

  /** Images for a prompt, with seeds one after the other: the language model writes codes, and its hidden states are decoded. */
  async imagine(prompt: string, options: Options.ImagineOptions = {}): Promise<DrawnImage[]> {
    checkPrompt(prompt, 'imagine("two red circles")');
    const settings = readOptions("imagine", options);
    const { n, seed } = settings;
    checkLastSeed(seed, n);
    return this.#call(settings, async () => {
      const messages = [{ role: "user", content: prompt } as const];
      const opening = {
        messages,
        images: [],
        request: (options) => ({ call: "imagine", prompt, ...options }),
      } satisfies ImageOpening;
      const draw = await this.#writer.openImage(opening, settings);
      return draw(Array.from({ length: n }, (_, i) => seed + i));
    });
  }

  /**
   * An image changed as `prompt` says: the language model reads both and writes the codes of the new image in raster order. With a mask
   * it writes only the positions that the mask selects, and reads the others as the image has them. The pixels come from its hidden
   * states over the whole grid, so they may differ a little everywhere.
   */
  async edit(image: ReadInput, prompt: string, options: Options.EditOptions = {}): Promise<DrawnImage> {
    checkPrompt(prompt, 'edit(image, "make it blue")');
    const { mask, ...settings } = readOptions("edit", options);
    return this.#call(settings, async () => {
      const { vocabulary } = this.#writer.setting;
      const { signal, cacheKey, seed } = settings;
      const { grid } = this.#model.generation.imagine;
      const isFree = mask === undefined ? undefined : await this.#images.readMask(mask, grid, signal);
      const codes = await this.#images.codesOf(image, { signal, cacheKey, grid });
      const N = vocabulary.codesPerPatch;
      const ids = idsFromCodes(codes.codes, vocabulary);
      const kept = (at: number) => (isFree?.[at] ? undefined : ids.subarray(at * N, (at + 1) * N));
      const content = [{ type: "image", image: codes } as const, { type: "text", text: prompt } as const];
      const opening: ImageOpening = {
        messages: [{ role: "user", content }],
        images: [codes],
        forced: isFree && kept,
        request: async (options) => ({
          call: "edit",
          prompt,
          ...options,
          image: await receiptCodes(codes),
          ...(isFree?.includes(false) && { mask: isFree.map(Number).join("") }),
        }),
      };
      const draw = await this.#writer.openImage(opening, settings);
      return (await draw([seed]))[0]!;
    });
  }

  /** A vector for an image, to compare images by: the mean over its positions of the fused embeddings of their codes. */
  async embed(image: ReadInput, options: Options.EmbedOptions = {}): Promise<Float32Array> {
    const settings = readOptions("embed", options);
    return this.#call(settings, async () => {
      needUpProjectors(this.#model, "embed images");
      const codes = await this.#images.codesOf(image, settings);
      return (await this.#networks.tokenizer()).embedImage(codes, settings.fusion);
    });
  }

  /** The log-probability of each token that the last message says, with the mark that ends it. */
  async score(messages: Messages, options: Options.ScoreOptions = {}): Promise<TokenScore[]> {
    const settings = readOptions("score", options);
    return this.#call(settings, async () => {
      checkMessages(messages);
      const setting = this.#writer.setting;
      const turn = lastTurn(messages, await this.#images.codesIn(messages, settings), setting);
      const { model, prefixes } = await this.#networks.language();
      const sequence = prefixes.take(turn.row, settings.cacheKey);
      try {
        return tokenScores(turn, await scoreBlocks(model, sequence, turn, settings.signal), setting);
      } finally {
        prefixes.keep(sequence, settings.cacheKey);
      }
    });
  }

  /** Whether the model can draw from the language model's hidden states; in a conversation it draws nothing otherwise. */
  get canImagine(): boolean {
    return canDraw(this.#model, "hidden");
  }

  /** Facts about the model's parts, and where those run that were used so far. */
  info(): LoadedModelInfo {
    return { ...describeModel(this.#model), devices: this.#networks.devices.places };
  }

  /** Names the model by its contents, in receipts: see docs/receipts.md. Undefined on a page that is not secure. */
  modelHash(): Promise<string | undefined> {
    return this.#call({}, () => this.#receipts.modelHash());
  }

  /** Releases all sessions and files. Safe to call twice. */
  async dispose(): Promise<void> {
    if (this.#networks.isDisposed) return;
    await this.#networks.dispose();
    await this.#model.close();
  }

  /** For `await using`. */
  [Symbol.asyncDispose](): Promise<void> {
    return this.dispose();
  }

  /** The answer to a conversation, as it is written. */
  async *#answer(messages: Messages, options: Options.ChatOptions, usage: Tally): Answer {
    const settings = readOptions("chat", options);
    const { signal } = settings;
    try {
      this.#networks.refuseDisposed();
      signal?.throwIfAborted();
      checkMessages(messages);
      languageConfig(this.#model); // throws where there is no language model
      const images = await this.#images.codesIn(messages, settings, usage);
      return yield* this.#writer.answer(messages, images, settings, usage, settings.mayDraw && this.canImagine);
    } catch (error) {
      throw this.#explain(error, signal);
    }
  }

  /** Runs the work of one call. */
  async #call<T>({ signal }: Options.TokenizeOptions, work: () => Promise<T>): Promise<T> {
    try {
      this.#networks.refuseDisposed();
      signal?.throwIfAborted();
      return await work();
    } catch (error) {
      throw this.#explain(error, signal);
    }
  }

  /** Why work failed: by the signal, whose reason is given, or because the model was disposed of while it went on. */
  #explain(error: unknown, signal: AbortSignal | undefined): unknown {
    if (signal?.aborted) return signal.reason;
    if (!this.#networks.isDisposed || error instanceof InputError) return error;
    return disposedError({ cause: error });
  }
}
