// Conversations -> the text and ids that a model was trained on, by its checkpoint's own Jinja template.
// Each image becomes <|vision_start|><|image_pad|><|vision_end|>; its codes take the pad's place later (sequence/).

import { InputError, ModelError, quote } from "../errors.ts";
import type { TemplateJob, TemplateResult } from "./render-template.js";
import type { TextTokenizer } from "./tokenizer.ts";
import { PRIVATE_USE, traceUserText } from "./user-text.ts";

export type Role = "system" | "user" | "assistant";

export type ContentPart<Image = unknown> =
  | { readonly type: "text"; readonly text: string }
  | { readonly type: "image"; readonly image: Image };

/** One turn; both sides may have images, in any order. */
export interface Message<Image = unknown> {
  readonly role: Role;
  readonly content: string | readonly ContentPart<Image>[];
}

export interface RenderOptions {
  /** Whether to end with an open assistant turn. Default true. */
  readonly addGenerationPrompt?: boolean;
}

export interface EncodeOptions extends RenderOptions {
  /** Longer conversations could never fit and are rejected before they are encoded. */
  readonly maxCharacters?: number;
}

export interface TemplateSetting {
  /** The template's source, for messages. */
  readonly file: string;
  /** `bos_token` and similar, from the tokenizer's config. */
  readonly variables: Readonly<Record<string, string>>;
  readonly sandbox: TemplateSandbox;
}

/** Runs templates, which are untrusted programs. */
export interface TemplateSandbox {
  /** Starts it, so that the first template does not wait. */
  warm(): void;
  /** Undefined if the template exceeded its time or memory limit. */
  render(job: TemplateJob): TemplateResult | undefined;
  /** The limits, in words. */
  readonly limits: string;
}

const IMAGE_PAD = "<|image_pad|>";

export class ChatTemplate {
  readonly #source: string;
  readonly #setting: TemplateSetting;

  /** Throws a ModelError if the source is not a Jinja template. */
  constructor(source: string, setting: TemplateSetting) {
    this.#source = source;
    this.#setting = setting;
    if (PRIVATE_USE.test(source)) {
      throw new ModelError(
        `${setting.file}: the chat template contains private-use characters, which have no meaning for a model`,
      );
    }
    this.#textOf(this.#run({ source }));
  }

  /** The conversation as one text. Throws a ModelError if the template fails, an InputError if it rejects the conversation. */
  render(messages: readonly Message[], options: RenderOptions = {}): string {
    return this.#textOf(this.#render(messages, options));
  }

  /**
   * The conversation as ids, with exactly one <|image_pad|> per image. Names of special tokens in a message are plain text.
   * Throws an InputError for an image if the template is text-only, for text beyond `maxCharacters`, and if the
   * template rejects the conversation; a ModelError if the template fails.
   */
  encode(
    messages: readonly Message[],
    tokenizer: TextTokenizer,
    { maxCharacters = Number.POSITIVE_INFINITY, ...options }: EncodeOptions = {},
  ): number[] {
    const texts = messages.map(({ content }) => textOf(content));
    checkLength(texts, maxCharacters);
    const { given, text } = this.#renderAny(messages, options);
    checkLength([text], maxCharacters);
    const isUsers = traceUserText(text, texts, tokenizer.specialNames, (change) => {
      const again = this.#render(
        given.map((message) => withText(message, change)),
        options,
      );
      return "text" in again ? again.text : undefined;
    });
    const ids = tokenizer.encodeTemplate(text, isUsers);
    const pad = tokenizer.special(IMAGE_PAD);
    this.#checkPads(ids.filter((id) => id === pad).length, imagesOf(messages).length);
    return ids;
  }

  /** Checks pads against images, only here. */
  #checkPads(pads: number, images: number): void {
    const { file } = this.#setting;
    if (pads === images) return;
    if (pads === 0) throw noImages(file);
    throw new ModelError(
      `${file}: the chat template writes ${pads} ${IMAGE_PAD} for ${images} images, expected one each`,
    );
  }

  /** Text-only templates take no lists of parts: they get the joined text, or images are rejected. */
  #renderAny(messages: readonly Message[], options: RenderOptions): { given: readonly Message[]; text: string } {
    const result = this.#render(messages, options);
    const hasParts = messages.some(({ content }) => typeof content !== "string");
    if ("text" in result || !hasParts) return { given: messages, text: this.#textOf(result) };
    const texts = messages.map(({ role, content }) => ({ role, content: textOf(content) }));
    const joined = this.#render(texts, options);
    if (!("text" in joined)) return { given: messages, text: this.#textOf(result) };
    if (imagesOf(messages).length > 0) throw noImages(this.#setting.file, result);
    return { given: texts, text: joined.text };
  }

  #render(messages: readonly Message[], { addGenerationPrompt = true }: RenderOptions): TemplateResult {
    // As in transformers: unused variables exist and are none.
    const unused = { tools: null, documents: null };
    const variables = { ...unused, ...this.#setting.variables, add_generation_prompt: addGenerationPrompt };
    return this.#run({ source: this.#source, variables: { ...variables, messages: messages.map(forTemplate) } });
  }

  /** Throws a ModelError if the template exceeded its limits. */
  #run(job: TemplateJob): TemplateResult {
    const { file, sandbox } = this.#setting;
    const result = sandbox.render(job);
    if (!result) throw new ModelError(`${file}: the chat template exceeded ${sandbox.limits} and was stopped`);
    return result;
  }

  #textOf(result: TemplateResult): string {
    if ("text" in result) return result.text;
    const { file } = this.#setting;
    const { fault, reason } = result;
    const cause = new Error(reason);
    if (fault === "refused") {
      // The message is from the model's author, for the caller.
      throw new InputError(`${file}: the chat template rejects this conversation: ${quote(reason)}`, {
        code: "invalid_messages",
        cause,
      });
    }
    const what = {
      syntax: "is not a Jinja template",
      runtime: "fails on this conversation",
      size: `produces ${reason} for this conversation`,
    };
    throw new ModelError(`${file}: the chat template ${what[fault]}`, { cause });
  }
}

function checkLength(texts: readonly string[], maxCharacters: number): void {
  const length = texts.reduce((sum, text) => sum + text.length, 0);
  if (length <= maxCharacters) return;
  throw new InputError(
    `The conversation has ${length} characters; this model reads at most ${maxCharacters}, even if every token is long`,
    { code: "too_long" },
  );
}

/** A message with its texts mapped. */
function withText({ role, content }: Message, change: (text: string) => string): Message {
  if (typeof content === "string") return { role, content: change(content) };
  return {
    role,
    content: content.map((part) => (part.type === "text" ? { type: part.type, text: change(part.text) } : part)),
  };
}

/** Every image of a conversation, in pad order. */
export function imagesOf<Image>(messages: readonly Message<Image>[]): Image[] {
  return messages.flatMap(({ content }) =>
    typeof content === "string" ? [] : content.flatMap((part) => (part.type === "image" ? [part.image] : [])),
  );
}

function textOf(content: Message["content"]): string {
  if (typeof content === "string") return content;
  return content.map((part) => (part.type === "text" ? part.text : "")).join("");
}

function noImages(file: string, result?: TemplateResult): InputError {
  return new InputError(`${file}: this chat template is text-only and takes no images`, {
    code: "invalid_messages",
    ...(result && "reason" in result && { cause: new Error(result.reason) }),
  });
}

/** The messages for vision models' templates: lists of parts, without the image data. */
function forTemplate({ role, content }: Message): Record<string, unknown> {
  if (typeof content === "string") return { role, content };
  return {
    role,
    content: content.map((part) => (part.type === "image" ? { type: "image", image: "image" } : { ...part })),
  };
}

/** Selects the template, in any of the forms that a config may have. Throws a ModelError. */
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
    `${file}: chat_template is not text and has no template named "default"${names ? `; it has ${quote(names)}` : ""}`,
  );
}
