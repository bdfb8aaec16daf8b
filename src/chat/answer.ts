// The blocks that a language model writes, as the events of an answer: text as soon as it is certain, and finished images.

import type { DrawnImage } from "../image/image.ts";
import type { WrittenBlock, WrittenImage } from "../llm/generate.ts";
import { StopStrings } from "../text/stop-strings.ts";
import type { TextTokenizer } from "../text/tokenizer.ts";
import type { Answer, Tally } from "./chat.ts";

export interface AnswerOptions {
  readonly tokenizer: TextTokenizer;
  /** The text id that ends an answer. */
  readonly eos: number;
  /** Texts that end an answer, and are no part of it. */
  readonly stop: readonly string[];
  /** Makes the pixels of an image. */
  readonly draw: (image: WrittenImage) => Promise<DrawnImage>;
}

/** Leaves `blocks` when a stop string comes. */
export async function* answerOf(
  blocks: AsyncIterable<WrittenBlock>,
  usage: Tally,
  { tokenizer, eos, stop, draw }: AnswerOptions,
): Answer {
  const stream = tokenizer.stream();
  const stops = new StopStrings(stop);
  let last: number | undefined;
  for await (const { ids, kind, image } of blocks) {
    usage.completionTokens++;
    last = ids[0]!;
    if (image) {
      const drawn = await draw(image);
      usage.imagesOut++;
      yield { type: "image", image: drawn, codes: drawn.codes };
    }
    // No text goes on beyond the beginning of an image.
    const isText = kind === "text" && !tokenizer.isSpecial(last);
    const text = isText
      ? stops.push(stream.push(last))
      : kind === "visual"
        ? stops.push(stream.end()) + stops.end()
        : "";
    if (text !== "") yield { type: "text", text };
    if (stops.hasStopped) return "stop";
  }
  const rest = stops.push(stream.end()) + stops.end();
  if (rest !== "") yield { type: "text", text: rest };
  return stops.hasStopped || last === eos ? "stop" : "length";
}
