// What the language model writes: the answer to a conversation, or, where that has been opened with the beginning of an image, the
// image alone. Both take a sequence that has read as much of the prompt as any, write, and keep it for the next call.

import type { DetokenizeOptions } from "../detokenizer/detokenizer.ts";
import { ModelError } from "../errors.ts";
import { Image } from "../image/image.ts";
import { blockVocabulary } from "../llm/config.ts";
import { type GenerateOptions, generate, type WrittenBlock, type WrittenImage } from "../llm/generate.ts";
import type { SamplingOptions } from "../llm/sampling.ts";
import { MOST_TOGETHER } from "../llm/scheduler.ts";
import { chooseDetokenizer, type DetokenizerChoice } from "../model/drawing.ts";
import { DrawnImage, type DrawnUsage } from "../model/drawn-image.ts";
import type { Networks } from "../model/networks.ts";
import { languageConfig, type OpenedModel } from "../model/open.ts";
import type { SampleOptions } from "../options.ts";
import type { Settings } from "../read-options.ts";
import type { ReceiptRequest } from "../receipt/receipt.ts";
import { type ReceiptWriter, receiptMessages } from "../receipt/write.ts";
import { codesFromIds } from "../sequence/ids.ts";
import { type BlockIds, blockCount } from "../sequence/layout.ts";
import { ImageCodes } from "../vision/image-codes.ts";
import { answerOf } from "./answer.ts";
import type { Answer, Tally } from "./chat.ts";
import { type ChatMessage, type ConversationSetting, conversation } from "./conversation.ts";

/** Without options an answer takes the likeliest tokens of text; codes of images are drawn as the model says. */
const greedy = { temperature: 0, topK: 0, topP: 1 };

type AnswerSettings = Settings<"chat">;
type ImageSettings = Omit<Settings<"edit">, "mask">;
type DrawSettings = Pick<
  AnswerSettings,
  "seed" | "steps" | "guidance" | "receipt" | "signal" | "onPreview" | "onProgress"
>;

/** What opens an image: a conversation with the codes of its images. */
export interface ImageOpening {
  readonly messages: readonly ChatMessage[];
  readonly images: readonly ImageCodes[];
  /** The ids that positions have already: see GenerateOptions. */
  readonly forced?: GenerateOptions["forced"];
  /** What was asked for, for the receipt, from the options in effect. */
  readonly request: (options: WrittenWith) => ReceiptRequest | Promise<ReceiptRequest>;
}

type WrittenWith = Omit<Extract<ReceiptRequest, { call: "imagine" }>, "call" | "prompt">;

export class Writer {
  readonly #model: OpenedModel;
  readonly #networks: Networks;
  readonly #receipts: ReceiptWriter;

  constructor(model: OpenedModel, networks: Networks, receipts: ReceiptWriter) {
    this.#model = model;
    this.#networks = networks;
    this.#receipts = receipts;
  }

  /** What conversations are written with. Throws where the model is an image tokenizer alone. */
  get setting(): ConversationSetting {
    const { qwen_config: qwen } = languageConfig(this.#model);
    return { text: this.#model.text!, vocabulary: blockVocabulary(qwen), room: qwen.max_seq_len }; // every language model has text
  }

  /** The answer to a conversation, as it is written; with images where `mayDraw`. */
  answer(
    messages: readonly ChatMessage[],
    images: readonly ImageCodes[],
    settings: AnswerSettings,
    usage: Tally,
    mayDraw: boolean,
  ): Answer {
    const { seed, signal, stop, maxNewTokens, minNewTokens, topLogprobs, promptLookupNumTokens } = settings;
    const prompt = conversation(messages, images, this.setting);
    const lookupBlocks = topLogprobs === undefined ? promptLookupNumTokens : 0; // guesses are confirmed, not scored
    const sampling = { ...chosen(settings, greedy), images: this.#imageSampling(settings) };
    const bounds = { maxNewTokens, minNewTokens, lookupBlocks, isScored: topLogprobs !== undefined };
    const writing = { ...sampling, ...bounds, mayDraw, seed, ...(signal && { signal }) };
    const { text, vocabulary } = this.setting;
    const began = this.#networks.devices.mark();
    return answerOf(this.#write(prompt, writing, settings.cacheKey, usage), usage, {
      tokenizer: text.tokenizer,
      eos: vocabulary.eos,
      stop,
      topLogprobs,
      draw: (image) => {
        const index = usage.imagesOut;
        const request = async (): Promise<ReceiptRequest> => {
          const { temperature, topK, topP } = settings;
          const bounds = { maxNewTokens, minNewTokens, promptLookupNumTokens: lookupBlocks, stop };
          const asked = await receiptMessages(messages, images);
          const given = { ...this.#drawnWith(settings), temperature, topK, topP, ...bounds };
          return { call: "chat", ...given, index, messages: asked };
        };
        return this.#draw(chooseDetokenizer(this.#model, "hidden"), image, settings, request, began);
      },
    });
  }

  /** What draws images after a conversation, one for each seed. Throws before any work where the model cannot. */
  async openImage(
    { messages, images, forced, request }: ImageOpening,
    settings: ImageSettings,
  ): Promise<(seeds: readonly number[]) => Promise<DrawnImage[]>> {
    const { setting } = this;
    const { grid } = this.#model.generation.imagine;
    const choice = chooseDetokenizer(this.#model, "hidden", settings.positions);
    await this.#networks.checkDrawing(choice, grid);
    const prompt = conversation(messages, images, { ...setting, answer: [setting.vocabulary.visionStart] });
    const total = grid[0] * grid[1] + 1; // with the mark that ends it
    const { signal, onProgress, cacheKey } = settings;
    const began = this.#networks.devices.mark();
    const sampling = this.#imageSampling(settings);
    const asked = () => request({ ...this.#drawnWith(settings), ...sampling, positions: settings.positions });
    const writing = { ...sampling, maxNewBlocks: total, forced, ...(signal && { signal }) };
    const write = async (seed: number) => {
      let [done, written] = [0, undefined as WrittenImage | undefined];
      for await (const { image } of this.#write(prompt, { ...writing, seed }, cacheKey)) {
        done++;
        onProgress?.({ task: "write", done, total });
        written = image;
      }
      const usage = { promptTokens: blockCount(prompt, setting.vocabulary), completionTokens: done };
      if (written) return { ...written, usage };
      throw new ModelError("the language model's image is not complete: its weights are not those of its config");
    };
    return async (seeds) => {
      const drawn: DrawnImage[] = [];
      for (let at = 0; at < seeds.length; at += MOST_TOGETHER) {
        const together = seeds.slice(at, at + MOST_TOGETHER);
        for (const [i, written] of (await Promise.all(together.map(write))).entries())
          drawn.push(await this.#draw(choice, written, { ...settings, seed: together[i]! }, asked, began));
      }
      return drawn;
    };
  }

  async *#write(
    prompt: BlockIds,
    options: GenerateOptions,
    cacheKey: string | undefined,
    usage?: Tally,
  ): AsyncGenerator<WrittenBlock, void, void> {
    const { model, prefixes } = await this.#networks.language();
    const { grid } = this.#model.generation.imagine;
    // An image alone is read from the beginning, so that it does not depend on what was read before: rows that are read in other
    // pieces are rounded differently. That takes little beside writing its positions.
    const isImageAlone = options.maxNewBlocks !== undefined;
    const sequence = isImageAlone ? model.start() : prefixes.take(prompt, cacheKey);
    const length = blockCount(prompt, model.vocabulary);
    if (usage) [usage.promptTokens, usage.cachedPromptTokens] = [length, sequence.length];
    const bounds = { room: this.setting.room, blocksPerImage: grid[0] * grid[1] };
    try {
      for await (const block of generate(model, sequence, prompt, { ...bounds, ...options })) {
        this.#networks.refuseDisposed(); // the reader may have taken long over the last one
        yield block;
      }
    } finally {
      if (isImageAlone) sequence.truncate(length); // nobody asks about an image alone
      prefixes.keep(sequence, cacheKey);
    }
  }

  /** Decodes an image that was written. `request` is asked for the receipt. */
  async #draw(
    choice: DetokenizerChoice,
    { ids, hidden, isOwn, usage }: WrittenImage & { readonly usage?: DrawnUsage },
    settings: DrawSettings,
    request: () => ReceiptRequest | Promise<ReceiptRequest>,
    began: number,
  ): Promise<DrawnImage> {
    const { imagine } = this.#model.generation;
    const { seed } = settings;
    const wanted = { condition: hidden, codeGrid: imagine.grid };
    const pixels = await this.#networks.decode(choice, wanted, decoding(settings, imagine));
    const written = Uint16Array.from(codesFromIds(ids, this.setting.vocabulary));
    const codes = new ImageCodes({ ...pixels, grid: imagine.grid, codes: written });
    if (!settings.receipt) return new DrawnImage(pixels, codes, seed, { usage });
    const drawing = { request: await request(), seed, pixels, codes, isAlone: isOwn, began };
    return new DrawnImage(pixels, codes, seed, { usage, receipt: await this.#receipts.receiptOf(drawing) });
  }

  #drawnWith({ steps, guidance }: DrawSettings) {
    const { imagine } = this.#model.generation;
    return { steps: steps ?? imagine.steps, guidance: guidance ?? imagine.guidance };
  }

  /** How codes of images are drawn: as the model says where the options do not. */
  #imageSampling(settings: SampleOptions): SamplingOptions {
    const { temperature, top_k: topK, top_p: topP } = this.#model.generation.imagine;
    return chosen(settings, { temperature, topK, topP });
  }
}

function chosen(settings: SampleOptions, defaults: SamplingOptions): SamplingOptions {
  const { temperature = defaults.temperature, topK = defaults.topK, topP = defaults.topP } = settings;
  return { temperature, topK, topP };
}

/** How an image is decoded: as the model says where the options do not. */
export function decoding(
  settings: DrawSettings,
  defaults: { readonly steps: number; readonly guidance: number },
): DetokenizeOptions {
  const { seed, steps = defaults.steps, guidance = defaults.guidance, signal, onPreview, onProgress } = settings;
  return {
    seed,
    steps,
    guidance,
    signal,
    onPreview: onPreview && ((preview) => onPreview(new Image(preview))),
    onStep: (done, total) => onProgress?.({ task: "draw", done, total }),
    onDecode: (done, total) => onProgress?.({ task: "decode", done, total }),
  };
}
