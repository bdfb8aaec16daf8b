// The blocks that a language model writes, as the events of an answer: text as soon as it is certain, and finished images.

import type { WrittenBlock, WrittenImage } from "../llm/generate.ts";
import type { DrawnImage } from "../model/drawn-image.ts";
import { StopStrings } from "../text/stop-strings.ts";
import type { TextTokenizer } from "../text/tokenizer.ts";
import type { Answer, Tally, TextEvent } from "./chat.ts";
import { type TokenLogprobs, tokenLogprobs } from "./logprobs.ts";

export interface AnswerOptions {
  readonly tokenizer: TextTokenizer;
  /** The text id that ends an answer. */
  readonly eos: number;
  /** Texts that end an answer, and are no part of it. */
  readonly stop: readonly string[];
  /** How many of the likeliest tokens are told beside each that was written; nothing is told if absent. */
  readonly topLogprobs?: number | undefined;
  /** Makes the pixels of an image. */
  readonly draw: (image: WrittenImage) => Promise<DrawnImage>;
}

/** Leaves `blocks` when a stop string comes. */
export async function* answerOf(
  blocks: AsyncIterable<WrittenBlock>,
  usage: Tally,
  { tokenizer, eos, stop, topLogprobs, draw }: AnswerOptions,
): Answer {
  const stream = tokenizer.stream();
  const stops = new StopStrings(stop);
  let last: number | undefined;
  let told: TokenLogprobs[] = [];
  const event = (text: string): TextEvent => {
    const logprobs = told;
    told = [];
    return { type: "text", text, ...(topLogprobs !== undefined && { logprobs }) };
  };
  for await (const { ids, kind, image, scores } of blocks) {
    usage.completionTokens++;
    last = ids[0]!;
    if (image) {
      const drawn = await draw(image);
      usage.imagesOut++;
      yield { type: "image", image: drawn, codes: drawn.codes };
    }
    // No text goes on beyond the beginning of an image.
    const isText = kind === "text" && !tokenizer.isSpecial(last);
    if (isText && scores && topLogprobs !== undefined) told.push(tokenLogprobs(scores, last, topLogprobs, tokenizer));
    const text = isText
      ? stops.push(stream.push(last))
      : kind === "visual"
        ? stops.push(stream.end()) + stops.end()
        : "";
    if (text !== "") yield event(text);
    if (stops.hasStopped) return "stop";
  }
  const rest = stops.push(stream.end()) + stops.end();
  if (rest !== "") yield event(rest);
  return stops.hasStopped || last === eos ? "stop" : "length";
}
