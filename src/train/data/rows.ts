// Conversations about images as rows of ids in the chat template's form, for training.

import { InputError } from "../../errors.ts";
import type { TextTokenizer } from "../../text/tokenizer.ts";
import type { Sample } from "./corpus.ts";
import type { Turn } from "./scene-text.ts";

/** What is asked about a sample: a description, and for scenes a question as well, in either order. */
export function turnsAbout({ describe, question }: Sample, isQuestionFirst: boolean): readonly Turn[] {
  if (!question) return [describe];
  return isQuestionFirst ? [question, describe] : [describe, question];
}

export interface EncodedRow {
  readonly ids: readonly number[];
  /** Whether each token is part of what the assistant says (its end mark and newline included). */
  readonly isAnswer: readonly boolean[];
}

/** Writes conversations as rows of ids in the chat template's form, with `positions` placeholders for an image. */
export class RowWriter {
  readonly padId: number;
  /** Stands at each position of an image. */
  readonly imageId: number;
  readonly #tokenizer: TextTokenizer;
  readonly #positions: number;
  readonly #start: readonly number[];
  readonly #end: readonly number[];
  readonly #image: readonly number[];
  readonly #cache = new Map<string, readonly number[]>();

  constructor(tokenizer: TextTokenizer, positions: number) {
    this.#tokenizer = tokenizer;
    this.#positions = positions;
    this.padId = tokenizer.special("<|endoftext|>");
    this.imageId = tokenizer.special("<|image_pad|>");
    this.#start = [tokenizer.special("<|im_start|>")];
    this.#end = [tokenizer.special("<|im_end|>"), ...tokenizer.encode("\n")];
    this.#image = [
      tokenizer.special("<|vision_start|>"),
      ...new Array<number>(positions).fill(this.imageId),
      tokenizer.special("<|vision_end|>"),
    ];
  }

  /** An image followed by questions and answers; turns that do not fit into `length` are left out (the first must). */
  understanding(turns: readonly Turn[], length: number): EncodedRow {
    const ids: number[] = [];
    const isAnswer: boolean[] = [];
    turns.forEach(({ question, answer }, i) => {
      const asked = [
        ...this.#start,
        ...this.#text("user\n"),
        ...(i === 0 ? this.#image : []),
        ...this.#text(question),
        ...this.#end,
      ];
      const opened = [...asked, ...this.#start, ...this.#text("assistant\n")];
      const said = [...this.#text(answer), ...this.#end];
      if (ids.length + opened.length + said.length > length) {
        if (i === 0)
          throw new InputError(`a conversation of ${opened.length + said.length} tokens does not fit into ${length}`);
        return;
      }
      ids.push(...opened, ...said);
      isAnswer.push(...opened.map(() => false), ...said.map(() => true));
    });
    return { ids, isAnswer };
  }

  /** A request and the image as the answer. */
  imagining(prompt: string): EncodedRow {
    const opened = [
      ...this.#start,
      ...this.#text(`user\n${prompt}`),
      ...this.#end,
      ...this.#start,
      ...this.#text("assistant\n"),
    ];
    return this.#drawn(opened);
  }

  /** An image with what shall be changed in it, and the changed image as the answer: placeholders for two images. */
  editing(instruction: string): EncodedRow {
    const opened = [
      ...this.#start,
      ...this.#text("user\n"),
      ...this.#image,
      ...this.#text(instruction),
      ...this.#end,
      ...this.#start,
      ...this.#text("assistant\n"),
    ];
    return this.#drawn(opened);
  }

  /** A conversation that an image answers. */
  #drawn(opened: readonly number[]): EncodedRow {
    const said = [...this.#image, ...this.#end];
    return { ids: [...opened, ...said], isAnswer: [...opened.map(() => false), ...said.map(() => true)] };
  }

  /** Text as ids, without marks. */
  encode(text: string): readonly number[] {
    return this.#text(text);
  }

  get positions(): number {
    return this.#positions;
  }

  #text(text: string): readonly number[] {
    let ids = this.#cache.get(text);
    if (!ids) {
      ids = this.#tokenizer.encode(text);
      this.#cache.set(text, ids);
    }
    return ids;
  }
}
