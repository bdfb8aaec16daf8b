// One answer of the model: its events as they come, or the whole as a result. The work starts with the first of either, goes on as
// events are asked for, and is done once however often they are read.

import type { DrawnImage } from "../model/drawn-image.ts";
import type { ImageCodes } from "../vision/image-codes.ts";
import type { TokenLogprobs } from "./logprobs.ts";

/**
 * Why an answer ended: the model, or a stop string, ended it; it reached `maxNewTokens` or the end of the model's context; or the loop
 * over its events was left.
 */
export type FinishReason = "stop" | "length" | "cancelled";

/** What an answer took. A position is one token of text, one place of an image's grid, or a mark such as the beginning of an image. */
export interface Usage {
  /** Positions of the conversation. */
  readonly promptTokens: number;
  /** Of those, the ones that the KV cache held of earlier calls. */
  readonly cachedPromptTokens: number;
  /** Positions of the answer, with the mark that ends it. */
  readonly completionTokens: number;
  /** Images of the conversation. */
  readonly imagesIn: number;
  /** Of those, the ones that were not encoded: their codes were given, or known from an earlier call. */
  readonly cachedImages: number;
  /** Images of the answer. */
  readonly imagesOut: number;
}

/** Counts as they grow. */
export type Tally = { -readonly [Name in keyof Usage]: number };

export interface TextEvent {
  readonly type: "text";
  readonly text: string;
  /**
   * Of each of its tokens, where `topLogprobs` asked for them. A token that only begins a character, or perhaps a stop string, comes
   * with the text that follows.
   */
  readonly logprobs?: readonly TokenLogprobs[];
}

export interface ImageEvent {
  readonly type: "image";
  readonly image: DrawnImage;
  /** Those of the image. */
  readonly codes: ImageCodes;
}

/** The last event of every answer that does not fail. */
export interface EndEvent {
  readonly type: "end";
  readonly finishReason: FinishReason;
  readonly usage: Usage;
}

export type ChatEvent = TextEvent | ImageEvent | EndEvent;

export interface ChatResult {
  readonly text: string;
  readonly images: readonly DrawnImage[];
  readonly finishReason: FinishReason;
  readonly usage: Usage;
}

/** Writes an answer, counts what it takes, and says in the end why it ended. */
export type Answer = AsyncGenerator<TextEvent | ImageEvent, "stop" | "length", void>;

export class Chat implements AsyncIterable<ChatEvent> {
  readonly #answer: Answer;
  readonly #usage: Tally = {
    promptTokens: 0,
    cachedPromptTokens: 0,
    completionTokens: 0,
    imagesIn: 0,
    cachedImages: 0,
    imagesOut: 0,
  };
  readonly #events: ChatEvent[] = [];
  #step: Promise<void> | undefined;
  #end: EndEvent | undefined;
  #failure: { readonly error: unknown } | undefined;

  /** `write` must not begin before the first event is asked for, as generators do not. */
  constructor(write: (usage: Tally) => Answer) {
    this.#answer = write(this.#usage);
  }

  /**
   * The events from the first one on. Leaving the loop before the end stops the work at its next step. Throws the signal's reason after
   * an abort, and what else went wrong.
   */
  async *[Symbol.asyncIterator](): AsyncGenerator<ChatEvent, void, void> {
    try {
      for (let i = 0; ; i++) {
        while (this.#events.length === i) await this.#advance();
        const event = this.#events[i]!;
        yield event;
        if (event.type === "end") return;
      }
    } finally {
      await this.#cancel();
    }
  }

  /** The whole answer. One whose loop was left has what came until then, and `cancelled`. Rejects as the loop throws. */
  async result(): Promise<ChatResult> {
    while (!this.#end) await this.#advance();
    const { finishReason, usage } = this.#end;
    const text = this.#events.map((event) => (event.type === "text" ? event.text : "")).join("");
    const images = this.#events.flatMap((event) => (event.type === "image" ? [event.image] : []));
    return { text, images, finishReason, usage };
  }

  /** Waits for the next event; those who ask at the same time wait for the same one. */
  #advance(): Promise<void> {
    this.#step ??= this.#next().finally(() => {
      this.#step = undefined;
    });
    return this.#step;
  }

  async #next(): Promise<void> {
    if (this.#failure) throw this.#failure.error;
    try {
      const { done, value } = await this.#answer.next();
      if (done) this.#finish(value ?? "cancelled");
      else this.#events.push(value);
    } catch (error) {
      this.#failure = { error };
      throw error;
    }
  }

  async #cancel(): Promise<void> {
    if (this.#end || this.#failure) return;
    await this.#answer.return("stop"); // frees the sequence
    this.#finish("cancelled");
  }

  #finish(finishReason: FinishReason): void {
    if (this.#end) return;
    this.#end = { type: "end", finishReason, usage: { ...this.#usage } };
    this.#events.push(this.#end);
  }
}
