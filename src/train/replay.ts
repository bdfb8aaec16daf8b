// A model's own answers and drawings as training rows beside new data: they let an adapter learn the new without
// changing the rest. Images are imagined from empty prompts and from words that the model has said, so no data is needed; or given.

import { generate } from "../llm/generate.ts";
import type { LanguageModel } from "../llm/language-model.ts";
import type { SamplingOptions } from "../llm/sampling.ts";
import { counterRandom } from "../random/counter.ts";
import { expandRow } from "../sequence/blocks.ts";
import { codesFromIds, idsFromCodes } from "../sequence/ids.ts";
import type { Message } from "../text/chat-template.ts";
import type { TextFiles } from "../text/load-text.ts";
import { ImageCodes } from "../vision/image-codes.ts";
import type { ConversationRow, ConversationRows } from "./conversation-rows.ts";

/** Tokens of an answer: captions and short sentences. */
const MAX_ANSWER = 64;
/** One in this many images is imagined from an empty prompt, which samples everything that the model knows. */
const WORDLESS = 4;
/** One in this many images also becomes a row that draws it. */
const DRAWN = 4;

export interface ReplayOptions {
  readonly images: number;
  readonly questions: readonly string[];
  readonly seed: number;
  /** The grid of imagined images, and how their codes are sampled. */
  readonly grid: readonly [rows: number, columns: number];
  readonly sampling: SamplingOptions;
  /** Given images instead of imagined ones: the i-th image. */
  readonly given?: ((i: number) => Promise<ImageCodes>) | undefined;
  readonly signal?: AbortSignal | undefined;
  readonly onProgress?: (done: number, total: number) => void;
}

export interface ReplayRows {
  /** Questions about images with the model's answers. */
  readonly answers: readonly ConversationRow[];
  /** Prompts with the images that the model drew for them. */
  readonly drawings: readonly ConversationRow[];
}

export class Replay {
  readonly #model: LanguageModel;
  readonly #text: TextFiles;
  readonly #rows: ConversationRows;

  constructor(model: LanguageModel, text: TextFiles, rows: ConversationRows) {
    this.#model = model;
    this.#text = text;
    this.#rows = rows;
  }

  /** A row per image with a question and the model's answer; for some imagined images also the request with the image. */
  async write(options: ReplayOptions): Promise<ReplayRows> {
    const { images, questions, seed, given, signal, onProgress } = options;
    const [answers, drawings]: ConversationRow[][] = [[], []];
    const said: string[] = [];
    for (let i = 0; i < images; i++) {
      signal?.throwIfAborted();
      onProgress?.(i, images);
      const random = counterRandom(seed, "replay").fork(i);
      const prompt = i % WORDLESS === 0 || said.length === 0 ? "" : said[random.integer(0, said.length)]!;
      const image = await (given ? given(i) : this.#imagine(prompt, random.integer(1, 2 ** 31), options));
      const question = questions[random.integer(2, questions.length)]!;
      const asked: Message<ImageCodes> = {
        role: "user",
        content: [
          { type: "image", image },
          { type: "text", text: question },
        ],
      };
      const answer = await this.#answer(asked, signal);
      if (answer === "") continue;
      said.push(answer);
      answers!.push(this.#rows.conversation([asked, { role: "assistant", content: answer }]));
      if (given || prompt === "" || i % DRAWN !== 1) continue;
      const drawn: Message<ImageCodes> = { role: "assistant", content: [{ type: "image", image }] };
      drawings!.push(this.#rows.conversation([{ role: "user", content: prompt }, drawn]));
    }
    return { answers: answers!, drawings: drawings! };
  }

  async #answer(message: Message<ImageCodes>, signal: AbortSignal | undefined): Promise<string> {
    const ids: number[] = [];
    const options = { maxNewBlocks: MAX_ANSWER, temperature: 0, mayDraw: false, ...(signal && { signal }) };
    for await (const block of generate(this.#model, this.#model.start(), this.#prompt([message]), options)) {
      if (!this.#text.tokenizer.isSpecial(block.ids[0]!)) ids.push(block.ids[0]!);
    }
    return this.#text.tokenizer.decode(ids).trim();
  }

  async #imagine(prompt: string, seed: number, { grid, sampling, signal }: ReplayOptions): Promise<ImageCodes> {
    const { vocabulary } = this.#model;
    const positions = grid[0] * grid[1];
    const request = this.#prompt([{ role: "user", content: prompt }], [vocabulary.visionStart]);
    const limits = { maxNewBlocks: positions + 1, blocksPerImage: positions };
    const blocks = generate(this.#model, this.#model.start(), request, {
      ...limits,
      seed,
      ...sampling,
      ...(signal && { signal }),
    });
    for await (const { image } of blocks)
      if (image)
        return new ImageCodes({
          grid,
          codes: Uint16Array.from(codesFromIds(image.ids, vocabulary)),
          width: undefined,
          height: undefined,
        });
    throw new Error("the model ended before its image was complete");
  }

  /** A conversation with an open assistant turn, as blocks. */
  #prompt(messages: readonly Message<ImageCodes>[], then: readonly number[] = []): Int32Array {
    const { ids, codes } = this.#rows.opened(messages);
    return expandRow([...ids, ...then], idsFromCodes(codes, this.#model.vocabulary), this.#model.vocabulary);
  }
}
