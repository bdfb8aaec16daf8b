// Examples from a user's data as rows for a language model of any size: images through the model's own tokenizer, in augmented views.

import type { Example, StoredImage } from "../corpus/example.ts";
import { type CounterRandom, counterRandom } from "../random/counter.ts";
import type { Message } from "../text/chat-template.ts";
import type { ImageCodes } from "../vision/image-codes.ts";
import type { ImageTokenizer } from "../vision/image-tokenizer.ts";
import type { ConversationRow, ConversationRows } from "./conversation-rows.ts";
import { describeQuestions } from "./data/phrasing.ts";
import { readImage } from "./sources/example-stream.ts";
import { vary } from "./vary.ts";

/** How many images' codes are cached, a few kilobytes each. */
const MAX_KEPT = 10_000;

/** Converts examples to rows. Repeated images are tokenized once. */
export class ExampleRows {
  readonly #rows: ConversationRows;
  readonly #tokenizer: ImageTokenizer;
  readonly #variants: number;
  readonly #codes = new Map<string, ImageCodes>();

  constructor(rows: ConversationRows, tokenizer: ImageTokenizer, variants: number) {
    this.#rows = rows;
    this.#tokenizer = tokenizer;
    this.#variants = variants;
  }

  /** undefined for an image without text. Throws an InputError for an example that does not make a row. */
  async row(example: Example, random: CounterRandom): Promise<ConversationRow | undefined> {
    const codesOf = (image: StoredImage, i: number) =>
      this.#codesOf(example, image, i, random.integer(i, this.#variants));
    if (example.kind === "image") return undefined;
    if (example.kind === "caption") {
      const question = describeQuestions[random.fork("question").integer(0, describeQuestions.length)]!;
      const image = await codesOf(example.image, 0);
      return this.#rows.conversation([
        {
          role: "user",
          content: [
            { type: "image", image },
            { type: "text", text: question },
          ],
        },
        { role: "assistant", content: example.caption },
      ]);
    }
    let count = 0;
    if (example.kind === "document") {
      const parts: (string | ImageCodes)[] = [];
      for (const part of example.parts)
        parts.push(part.type === "text" ? part.text : await codesOf(part.image, count++));
      return this.#rows.document(parts);
    }
    const messages: Message<ImageCodes>[] = [];
    for (const { role, content } of example.turns) {
      const parts: Exclude<Message<ImageCodes>["content"], string>[number][] = [];
      for (const part of content)
        parts.push(part.type === "text" ? part : { type: "image", image: await codesOf(part.image, count++) });
      messages.push({ role, content: parts });
    }
    return this.#rows.conversation(messages);
  }

  /** The codes of an example's first image; undefined if it has none. */
  async image(example: Example): Promise<ImageCodes | undefined> {
    if (example.kind !== "image" && example.kind !== "caption") return undefined;
    return this.#codesOf(example, example.image, 0, 0);
  }

  async #codesOf(example: Example, stored: StoredImage, i: number, variant: number): Promise<ImageCodes> {
    const key = `${example.where} ${i} ${variant}`;
    const known = this.#codes.get(key);
    if (known) return known;
    const image = await readImage(example, stored);
    // A view depends only on the image's place and the view's number.
    const codes = await this.#tokenizer.tokenize(variant === 0 ? image : vary(image, counterRandom(variant, key)));
    if (this.#codes.size >= MAX_KEPT) this.#codes.delete(this.#codes.keys().next().value!);
    this.#codes.set(key, codes);
    return codes;
  }
}
