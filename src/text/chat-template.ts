// Conversations -> the text and ids a model was trained on, by its checkpoint's own Jinja template.
// Each picture becomes <|vision_start|><|image_pad|><|vision_end|>; its codes take the pad's place later (sequence/).

import { Template } from "@huggingface/jinja";
import type { TextTokenizer } from "./tokenizer.ts";

export type Role = "system" | "user" | "assistant";

export type ContentPart<Image = unknown> =
  | { readonly type: "text"; readonly text: string }
  | { readonly type: "image"; readonly image: Image };

/** One turn; pictures may stand on both sides, in any order. */
export interface Message<Image = unknown> {
  readonly role: Role;
  readonly content: string | readonly ContentPart<Image>[];
}

export interface RenderOptions {
  /** Ends with the opening of an assistant turn. Default true. */
  readonly addGenerationPrompt?: boolean;
}

export class ChatTemplate {
  readonly #template: Template;

  /** Throws if the source is not a Jinja template. */
  constructor(source: string) {
    this.#template = new Template(source);
  }

  /** The conversation as one text. */
  render(messages: readonly Message[], { addGenerationPrompt = true }: RenderOptions = {}): string {
    return this.#template.render({ messages: messages.map(forTemplate), add_generation_prompt: addGenerationPrompt });
  }

  /**
   * The conversation as ids, with one <|image_pad|> for each picture.
   * Text in which a special token may be spelled out is encoded apart from its surroundings, as plain text.
   */
  encode(messages: readonly Message[], tokenizer: TextTokenizer, options: RenderOptions = {}): number[] {
    const spelled: string[] = [];
    const guard = (text: string): string => {
      if (!SUSPICIOUS.test(text)) return text;
      return `${OPEN}${spelled.push(text) - 1}${CLOSE}`;
    };
    const rendered = this.render(
      messages.map(({ role, content }) => ({
        role,
        content:
          typeof content === "string"
            ? guard(content)
            : content.map((part) => (part.type === "text" ? { type: part.type, text: guard(part.text) } : part)),
      })),
      options,
    );
    // Odd pieces are the numbers between OPEN and CLOSE.
    return rendered
      .split(MARKED)
      .flatMap((piece, i) =>
        i % 2 === 0 ? tokenizer.encodeTemplate(piece) : tokenizer.encode(spelled[Number(piece)]!),
      );
  }
}

/** Every picture of a conversation, in the order of its pads. */
export function picturesOf<Image>(messages: readonly Message<Image>[]): Image[] {
  return messages.flatMap(({ content }) =>
    typeof content === "string" ? [] : content.flatMap((part) => (part.type === "image" ? [part.image] : [])),
  );
}

/**
 * What special tokens start with, even one that is spelled over two parts, or the mark below.
 * Such a text is encoded apart from what stands around it: it loses merges across its two ends, nothing else.
 */
const SUSPICIOUS = /[<[\ue000]/;

/** Private-use characters around the number of a text that is encoded apart; a text that holds one is guarded too. */
const OPEN = "\ue000";
const CLOSE = "\ue001";
const MARKED = new RegExp(`${OPEN}(\\d+)${CLOSE}`);

/** What templates of vision models expect: lists of parts, the picture itself left out. */
function forTemplate({ role, content }: Message): Record<string, unknown> {
  if (typeof content === "string") return { role, content };
  return {
    role,
    content: content.map((part) => (part.type === "image" ? { type: "image", image: "image" } : { ...part })),
  };
}
