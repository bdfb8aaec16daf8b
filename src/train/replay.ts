// A model's own answers and drawings as training rows beside new data: they let an adapter learn the new without
// changing the rest. Images are given, or imagined from empty prompts and from words that the model has said, so no data is needed.
// An answer is learned with its likeliest alternatives (Li and Hoiem, Learning without Forgetting, arXiv:1606.09282): where the model
// was nearly undecided, its first choice alone would say too little of what it knew.

import { generate } from "../llm/generate.ts";
import type { LanguageModel } from "../llm/language-model.ts";
import { largestIds, type SamplingOptions, softmax } from "../llm/sampling.ts";
import { counterRandom } from "../random/counter.ts";
import { expandRow } from "../sequence/blocks.ts";
import { codesFromIds, idsFromCodes } from "../sequence/ids.ts";
import type { Message } from "../text/chat-template.ts";
import type { TextFiles } from "../text/load-text.ts";
import { ImageCodes } from "../vision/image-codes.ts";
import type { ConversationRow, ConversationRows } from "./conversation-rows.ts";
import { describeQuestions } from "./data/phrasing.ts";

/** Tokens of an answer: captions and short sentences. */
const MAX_ANSWER = 64;
/** One in this many images is imagined from an empty prompt, which samples everything that the model knows. */
const WORDLESS = 4;
/** One in this many images also becomes a row that draws it. */
const DRAWN = 4;
/** At most so many alternatives of a token are kept, and only those with this share of the probability. */
const [MOST_LIKELY, LEAST_SHARE] = [8, 0.01];

export interface ReplayOptions {
  readonly images: number;
  readonly questions: readonly string[];
  readonly seed: number;
  /** Positions that the model reads: an answer ends there. */
  readonly room: number;
  /** The grid of imagined images, and how their codes are sampled. */
  readonly grid: readonly [rows: number, columns: number];
  readonly sampling: SamplingOptions;
  /** Given images instead of imagined ones: the i-th image. */
  readonly given?: ((i: number) => Promise<ImageCodes>) | undefined;
  readonly signal?: AbortSignal | undefined;
  readonly onProgress?: (done: number, total: number) => void;
}

/** Of a block of text: its likeliest tokens with their probabilities. */
type Likely = readonly (readonly [id: number, probability: number])[];

export interface ReplayRow extends ConversationRow {
  /** For each scored block of an answer. */
  readonly likely?: readonly Likely[] | undefined;
}

export interface ReplayRows {
  /** Questions about images with the model's answers. */
  readonly answers: readonly ReplayRow[];
  /** Requests with their images. */
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

  /** A row per image with a question and the model's answer; for some images also a request for it: what it was imagined from, or its description. */
  async write(options: ReplayOptions): Promise<ReplayRows> {
    const { images, questions, seed, given, signal, onProgress } = options;
    const answers: ReplayRow[] = [];
    const drawings: ConversationRow[] = [];
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
      const { answer, row } = await this.#answer(asked, options);
      if (answer === "") continue;
      said.push(answer);
      answers.push(row);
      const request = given ? (describeQuestions.includes(question) ? answer : "") : prompt;
      if (request === "" || i % DRAWN !== 1) continue;
      const drawn: Message<ImageCodes> = { role: "assistant", content: [{ type: "image", image }] };
      drawings.push(this.#rows.conversation([{ role: "user", content: request }, drawn]));
    }
    return { answers, drawings };
  }

  /** The model's answer as text, and as a row of exactly the tokens that it wrote. */
  async #answer(
    message: Message<ImageCodes>,
    { room, signal }: ReplayOptions,
  ): Promise<{ answer: string; row: ReplayRow }> {
    const asked = this.#rows.opened([message]);
    const ids: number[] = [];
    const likely: Likely[] = [];
    const limits = { maxNewBlocks: MAX_ANSWER, temperature: 0, mayDraw: false, isScored: true, room };
    const options = { ...limits, ...(signal && { signal }) };
    const blocks = generate(this.#model, this.#model.start(), this.#blocks(asked), options);
    for await (const { ids: block, scores } of blocks) {
      ids.push(block[0]!);
      likely.push(scores ? likeliest(scores) : [[block[0]!, 1]]);
    }
    const { tokenizer } = this.#text;
    return {
      answer: tokenizer.decode(ids.filter((id) => !tokenizer.isSpecial(id))).trim(),
      row: { ...asked, ids: [...asked.ids, ...ids], mask: [...asked.ids.map(() => 0), ...ids.map(() => 1)], likely },
    };
  }

  async #imagine(prompt: string, seed: number, { grid, sampling, signal }: ReplayOptions): Promise<ImageCodes> {
    const { vocabulary } = this.#model;
    const positions = grid[0] * grid[1];
    const { ids, codes } = this.#rows.opened([{ role: "user", content: prompt }]);
    const request = this.#blocks({ ids: [...ids, vocabulary.visionStart], codes });
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

  #blocks({ ids, codes }: Omit<ConversationRow, "mask">): Int32Array {
    const { vocabulary } = this.#model;
    return expandRow(ids, idsFromCodes(codes, vocabulary), vocabulary);
  }
}

function likeliest(scores: Float32Array): Likely {
  const ids = largestIds(scores, [[0, scores.length]], MOST_LIKELY);
  const shares = softmax(ids, scores, 1);
  const kept = ids.filter((_, i) => shares[i]! >= LEAST_SHARE);
  return [...softmax(kept, scores, 1)].map((share, i) => [kept[i]!, Number(share.toFixed(4))]);
}
