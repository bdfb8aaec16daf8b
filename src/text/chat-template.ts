// Conversations -> the text and ids a model was trained on, by its checkpoint's own Jinja template.
// Each image becomes <|vision_start|><|image_pad|><|vision_end|>; its codes take the pad's place later (sequence/).

import { InputError, ModelError, quote } from "../errors.ts";
import type { TemplateJob, TemplateResult } from "./render-template.js";
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

export interface TemplateSetting {
  /** Where the template comes from, for messages. */
  readonly file: string;
  /** `bos_token` and the like, as the tokenizer's config has them. */
  readonly variables: Readonly<Record<string, string>>;
  /** Runs a template; undefined when it took more time or memory than it may. */
  readonly render: (job: TemplateJob) => TemplateResult | undefined;
  /** The limits of `render`, for messages. */
  readonly limits: string;
}

const IMAGE_PAD = "<|image_pad|>";
/** The Basic Multilingual Plane's: one of them marks what a user wrote while a template runs. */
const PRIVATE_USE = /[\ue000-\uf8ff]/;

export class ChatTemplate {
  readonly #source: string;
  readonly #setting: TemplateSetting;

  /** Throws a ModelError if the source is not a Jinja template. */
  constructor(source: string, setting: TemplateSetting) {
    this.#source = source;
    this.#setting = setting;
    if (PRIVATE_USE.test(source)) {
      throw new ModelError(
        `${setting.file}: the chat template holds private-use characters, which mean nothing to a model`,
      );
    }
    this.#run({ source });
  }

  /** The conversation as one text. Throws a ModelError when the template fails. */
  render(messages: readonly Message[], { addGenerationPrompt = true }: RenderOptions = {}): string {
    const variables = { ...this.#setting.variables, add_generation_prompt: addGenerationPrompt };
    return this.#run({ source: this.#source, variables: { ...variables, messages: messages.map(forTemplate) } });
  }

  /**
   * The conversation as ids, with exactly one <|image_pad|> for each image. The names of special tokens in a message are text.
   * Throws an InputError for an image where the template is for text alone, and a ModelError when the template fails.
   */
  encode(messages: readonly Message[], tokenizer: TextTokenizer, options: RenderOptions = {}): number[] {
    const { file } = this.#setting;
    const mark = unusedCharacter(messages);
    const rendered = this.#renderAny(markSpecial(messages, tokenizer, mark), options);
    const ids = tokenizer.encodeTemplate(rendered, (piece) => piece.replaceAll(mark, ""));
    const images = picturesOf(messages).length;
    if (images === 0) return ids;
    const pad = tokenizer.special(IMAGE_PAD);
    const pads = ids.filter((id) => id === pad).length;
    if (pads === 0) throw noImages(file);
    if (pads !== images)
      throw new ModelError(`${file}: writes ${pads} ${IMAGE_PAD} for ${images} images, wanted one for each`);
    return ids;
  }

  /** Templates for text alone take no lists of parts: they get the text of one, or the caller is told that they take no images. */
  #renderAny(messages: readonly Message[], options: RenderOptions): string {
    try {
      return this.render(messages, options);
    } catch (error) {
      if (messages.every(({ content }) => typeof content === "string")) throw error;
      const texts = messages.map(({ role, content }) => ({ role, content: textOf(content) }));
      const rendered = this.render(texts, options);
      if (picturesOf(messages).length > 0) throw noImages(this.#setting.file, error);
      return rendered;
    }
  }

  #run(job: TemplateJob): string {
    const { file, render, limits } = this.#setting;
    const result = render(job);
    if (!result) throw new ModelError(`${file}: the chat template takes more than ${limits}, and was stopped`);
    if ("text" in result) return result.text;
    const cause = new Error(result.reason);
    const what = result.fault === "syntax" ? "is not a Jinja template" : "fails on this conversation";
    throw new ModelError(`${file}: the chat template ${what}`, { cause });
  }
}

/** A private-use character that the conversation does not hold; the template holds none. */
function unusedCharacter(messages: readonly Message[]): string {
  const texts = messages.map(({ content }) => textOf(content));
  for (let code = 0xe000; code <= 0xf8ff; code++) {
    const character = String.fromCharCode(code);
    if (!texts.some((text) => text.includes(character))) return character;
  }
  throw new InputError("Expected a conversation without every private-use character of Unicode", {
    code: "invalid_messages",
  });
}

/** Every picture of a conversation, in the order of its pads. */
export function picturesOf<Image>(messages: readonly Message<Image>[]): Image[] {
  return messages.flatMap(({ content }) =>
    typeof content === "string" ? [] : content.flatMap((part) => (part.type === "image" ? [part.image] : [])),
  );
}

function textOf(content: Message["content"]): string {
  if (typeof content === "string") return content;
  return content.map((part) => (part.type === "text" ? part.text : "")).join("");
}

function noImages(file: string, cause?: unknown): InputError {
  return new InputError(`${file}: this chat template is for text alone and takes no images`, {
    code: "invalid_messages",
    cause,
  });
}

/**
 * Puts `mark` into the texts wherever they could spell a special token: after its first character and before its last, which
 * nothing but two cuts by the template could undo. A template sees all else in a text as it is, and may look for it.
 */
function markSpecial(messages: readonly Message[], tokenizer: TextTokenizer, mark: string): Message[] {
  const names = tokenizer.specialNames.filter((name) => name.length > 1);
  const heads = new Set(names.map((name) => name.slice(0, 2)));
  const tails = new Set(names.map((name) => name.slice(-2)));
  const firsts = new Set(names.map((name) => name[0]!));
  const guard = (text: string): string => {
    let marked = "";
    for (let i = 0; i < text.length; i++) {
      marked += text[i];
      const pair = text.slice(i, i + 2);
      // At the end of a text the next one may go on with the name.
      if (heads.has(pair) || tails.has(pair) || (i === text.length - 1 && firsts.has(pair))) marked += mark;
    }
    return marked;
  };
  return messages.map(({ role, content }) => ({
    role,
    content:
      typeof content === "string"
        ? guard(content)
        : content.map((part) => (part.type === "text" ? { type: part.type, text: guard(part.text) } : part)),
  }));
}

/** What templates of vision models expect: lists of parts, the picture itself left out. */
function forTemplate({ role, content }: Message): Record<string, unknown> {
  if (typeof content === "string") return { role, content };
  return {
    role,
    content: content.map((part) => (part.type === "image" ? { type: "image", image: "image" } : { ...part })),
  };
}

/** The template among several named ones, in any of the forms that a config may have it in. Throws a ModelError. */
export function chooseTemplate(value: unknown, file: string): string | undefined {
  if (value == null) return undefined;
  if (typeof value === "string") return value;
  const entries: [string, unknown][] = Array.isArray(value)
    ? value.map((entry: { name?: unknown; template?: unknown } | null) => [String(entry?.name), entry?.template])
    : typeof value === "object"
      ? Object.entries(value)
      : [];
  const chosen = entries.find(([name]) => name === "default")?.[1];
  if (typeof chosen === "string") return chosen;
  const names = entries.map(([name]) => name).join(", ");
  throw new ModelError(
    `${file}: chat_template is no text and has no template named "default"${names ? `; it has ${quote(names)}` : ""}`,
  );
}
