// Conversations about images as rows of ids in the chat template's format, for training.

import { InputError } from "../../errors.ts";
import type { CounterRandom } from "../../random/counter.ts";
import type { TextTokenizer } from "../../text/tokenizer.ts";
import type { Sample } from "./corpus.ts";
import type { Turn } from "./scene-text.ts";

/** The questions about a sample: a description, and for scenes another question, in either order. */
export function turnsAbout({ describe, question, turns }: Sample, isQuestionFirst: boolean): readonly Turn[] {
  if (turns) return turns;
  if (!question) return [describe];
  return isQuestionFirst ? [question, describe] : [describe, question];
}

export interface EncodedRow {
  readonly ids: readonly number[];
  /** Whether each token belongs to an assistant's turn (end mark and newline included). */
  readonly isAnswer: readonly boolean[];
}

/** Text, or an image. */
export type RowPart = { readonly text: string } | "image";

export interface RowTurn {
  readonly role: "system" | "user" | "assistant";
  readonly parts: readonly RowPart[];
}

/** The corpus has about ten thousand sentences; other data is unbounded. */
const MAX_CACHED = 100_000;

/** Writes conversations as rows of ids in the chat template's format, with `positions` placeholders per image. */
export class RowWriter {
  readonly padId: number;
  /** The placeholder at each position of an image. */
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

  /** An image followed by questions and answers; turns beyond `length` are dropped (the first must fit). */
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

  /** A request with the image as the answer. */
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

  /** An image and a change to make, with the changed image as the answer: placeholders for two images. */
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

  /** A conversation answered by an image. */
  #drawn(opened: readonly number[]): EncodedRow {
    const said = [...this.#image, ...this.#end];
    return { ids: [...opened, ...said], isAnswer: [...opened.map(() => false), ...said.map(() => true)] };
  }

  /** Text as ids, without chat marks. */
  encode(text: string): readonly number[] {
    return this.#text(text);
  }

  /**
   * A conversation with images anywhere, trained on the assistant's turns. Turns beyond `length` are
   * dropped. Throws an InputError if the assistant's first turn does not fit.
   */
  conversation(turns: readonly RowTurn[], length: number): EncodedRow {
    const ids: number[] = [];
    const isAnswer: boolean[] = [];
    let kept = 0;
    for (const { role, parts } of turns) {
      const opened = [...this.#start, ...this.#text(`${role}\n`)];
      const said = [...this.#parts(parts), ...this.#end];
      if (ids.length + opened.length + said.length > length) {
        if (kept === 0)
          throw new InputError(
            `a conversation of ${ids.length + opened.length + said.length} blocks does not fit into ${length}`,
          );
        break;
      }
      ids.push(...opened, ...said);
      isAnswer.push(...opened.map(() => false), ...said.map(() => role === "assistant"));
      if (role === "assistant") kept = ids.length;
    }
    return { ids: ids.slice(0, kept), isAnswer: isAnswer.slice(0, kept) };
  }

  /** Text, or text and images in sequence, all trained on. Of a text longer than `length`, a random part is used. */
  document(parts: readonly RowPart[], length: number, random: CounterRandom): EncodedRow {
    const whole = [...this.#parts(parts), this.padId];
    const isText = parts.every((part) => part !== "image");
    if (whole.length > length && !isText)
      throw new InputError(`a document of ${whole.length} blocks with images does not fit into ${length}`);
    const start = random.integer(0, Math.max(whole.length - length, 0) + 1);
    const ids = whole.slice(start, start + length);
    return { ids, isAnswer: ids.map(() => true) };
  }

  /** The number of images with placeholders in a row. */
  imagesIn({ ids }: EncodedRow): number {
    return ids.filter((id) => id === this.imageId).length / this.#positions;
  }

  get positions(): number {
    return this.#positions;
  }

  #parts(parts: readonly RowPart[]): number[] {
    return parts.flatMap((part) => (part === "image" ? this.#image : this.#tokenizer.encode(part.text)));
  }

  #text(text: string): readonly number[] {
    let ids = this.#cache.get(text);
    if (!ids) {
      ids = this.#tokenizer.encode(text);
      if (this.#cache.size === MAX_CACHED) this.#cache.clear();
      this.#cache.set(text, ids);
    }
    return ids;
  }
}
