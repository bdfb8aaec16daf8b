// The body of /v1/chat/completions, and its engine requests.

import { randomInt } from "node:crypto";
import * as z from "zod";
import type { EngineRequest, ModelCard, WireMessage, WirePart } from "../protocol.ts";
import { badField } from "./api-error.ts";
import {
  type Body,
  check,
  drawingFields,
  flag,
  integer,
  is,
  isNothing,
  modelField,
  oneOf,
  samplingFields,
  text,
  type Unsupported,
  words,
} from "./fields.ts";
import { readImageUrl } from "./given-image.ts";
import { codesInput, codesSchema } from "./image-codes.ts";
import { factsOf, type HttpContext, type Service } from "./service.ts";

const imageUrl = z.union([z.looseObject({ url: text }, { error: "{ url }" }), text], { error: "{ url }" });

const imagePart = z.looseObject({
  type: z.literal("image_url"),
  image_url: imageUrl.describe("a data: URL of a PNG, JPEG or WebP").optional(),
  codes: codesSchema.describe("extension: the image's codes, used instead of `image_url`").nullish(),
});

const part = z.discriminatedUnion("type", [z.looseObject({ type: z.literal("text"), text }), imagePart], {
  error: 'a part { "type": "text", "text" } or { "type": "image_url", "image_url": { "url" } }',
});

const message = z.looseObject(
  {
    role: oneOf("system", "developer", "user", "assistant"),
    content: z
      .union([text, z.array(part, { error: "a list of parts" })], { error: "a string or a list of parts" })
      .nullish(),
    images: z
      .array(imagePart)
      .describe("images of an earlier answer, so that a message can be sent back unchanged")
      .nullish(),
  },
  { error: "a message { role, content }" },
);

const messages = z.array(message, { error: "a list of messages" }).min(1, { error: "a list of at least one message" });

export const answerFields = {
  ...modelField,
  ...samplingFields,
  ...drawingFields,
  stream: flag.default(false),
};

/** In OpenAI's API, a field of the images routes only. */
export const partialImages = integer(0, 3).describe("extension: previews of each image, when streamed").optional();

export const chatSchema = z.looseObject({
  ...answerFields,
  messages,
  modalities: z
    .array(oneOf("text", "image"), { error: 'a list of "text" and "image"' })
    .describe('"image" allows images in the answer, in `message.images`')
    .default(["text"]),
  n: integer(1, 128).default(1),
  stop: z
    .union([words.transform((one) => [one]), z.array(words).max(16, { error: "at most 16 strings" })], {
      error: "a non-empty string, or a list of such strings",
    })
    .optional(),
  max_tokens: integer(1, 1_000_000).optional(),
  max_completion_tokens: integer(1, 1_000_000).optional(),
  min_tokens: integer(0, 1_000_000).describe("extension: tokens before the answer may end").optional(),
  logprobs: flag.default(false),
  top_logprobs: integer(0, 20).optional(),
  stream_options: z.looseObject({ include_usage: flag.optional() }, { error: "an object" }).optional(),
  partial_images: partialImages,
});

export type ChatBody = z.output<typeof chatSchema>;

const noTools = "the model calls no tools";
const notSampled = "this server does not sample that way";

/** Unsupported fields that all routes for answers have in common. */
export const unsupportedInAnswers: Unsupported = {
  negative_prompt: [isNothing, "describe what you want instead"],
  frequency_penalty: [isNothing, notSampled],
  presence_penalty: [isNothing, notSampled],
  repetition_penalty: [is(1), notSampled],
  min_p: [isNothing, notSampled],
  logit_bias: [isNothing, notSampled],
};

const unsupported: Unsupported = {
  ...unsupportedInAnswers,
  tools: [isNothing, noTools],
  tool_choice: [is("none", "auto"), noTools],
  functions: [isNothing, noTools],
  function_call: [is("none", "auto"), noTools],
  response_format: [(value) => (value as { type?: unknown }).type === "text", "answers are plain text"],
  audio: [isNothing, "the model has no audio"],
  prediction: [isNothing, "answers cannot start from a prediction"],
  web_search_options: [isNothing, "the server does not search"],
  best_of: [is(1), "`n` gives several answers"],
  use_beam_search: [isNothing, notSampled],
  prompt_embeds: [isNothing, "messages are text and images"],
  chat_template: [isNothing, "the model's own template is used"],
  chat_template_kwargs: [isNothing, "the model's own template is used"],
  guided_json: [isNothing, "answers are plain text"],
  guided_regex: [isNothing, "answers are plain text"],
  guided_choice: [isNothing, "answers are plain text"],
  guided_grammar: [isNothing, "answers are plain text"],
  structured_outputs: [isNothing, "answers are plain text"],
};

export function readChatBody(body: Body): ChatBody {
  const read = check(chatSchema, body, unsupported);
  if (read.top_logprobs !== undefined && !read.logprobs)
    throw badField("top_logprobs", "`top_logprobs` needs `logprobs` to be true");
  if (read.stream_options && !read.stream)
    throw badField("stream_options", "`stream_options` needs `stream` to be true");
  if (read.partial_images && !read.stream)
    throw badField("partial_images", "`partial_images` needs `stream` to be true");
  return read;
}

/** A random seed for requests without one. */
export function anySeed(): number {
  return randomInt(2 ** 31);
}

/** The answers that a route wants. */
export interface AnswerWish {
  readonly messages: readonly WireMessage[];
  readonly mayDraw: boolean;
  readonly count: number;
  readonly maxTokens: number | undefined;
  readonly minTokens?: number | undefined;
  readonly stop?: readonly string[] | undefined;
  readonly topLogprobs?: number | undefined;
  readonly previews?: number | undefined;
}

/** One engine request per answer, with consecutive seeds. */
export function answerRequests(
  body: z.output<z.ZodObject<typeof answerFields>>,
  { messages, mayDraw, count, maxTokens, minTokens, stop, topLogprobs, previews }: AnswerWish,
  context: number,
): EngineRequest[] {
  const { seed = anySeed(), temperature, top_p, top_k, num_inference_steps, guidance_scale } = body;
  const options = {
    maxNewTokens: maxTokens ?? Math.max(1, context),
    ...(minTokens !== undefined && { minNewTokens: minTokens }),
    ...(stop && { stop: [...stop] }),
    ...drawn(temperature, top_p, top_k),
    ...(num_inference_steps !== undefined && { steps: num_inference_steps }),
    ...(guidance_scale !== undefined && { guidance: guidance_scale }),
  };
  return Array.from({ length: count }, (_, i) => ({
    kind: "chat",
    messages,
    mayDraw,
    options: { ...options, seed: nthSeed(seed, i) },
    ...(topLogprobs !== undefined && { topLogprobs }),
    ...(previews && { previews }),
  }));
}

/** Sampling options under the library's names. */
export function drawn(temperature?: number, topP?: number, topK?: number) {
  return {
    ...(temperature !== undefined && { temperature }),
    ...(topP !== undefined && { topP }),
    ...(topK !== undefined && { topK }),
  };
}

/** Consecutive seeds, which wrap around after the largest. */
export function nthSeed(seed: number, i: number): number {
  return (seed + i) % Number.MAX_SAFE_INTEGER;
}

/** The engine requests for a body of /v1/chat/completions. Throws a 400 for unreadable images. */
export async function chatRequests(
  service: Service,
  c: HttpContext,
  model: ModelCard,
  body: ChatBody,
): Promise<EngineRequest[]> {
  const { settings } = service;
  checkCount(body.n, service);
  const facts = await factsOf(service, model);
  const mayDraw = body.modalities.includes("image");
  if (!facts.canChat) throw badField("model", `${model.id} has no language model`, "unsupported_value");
  if (mayDraw && !facts.canImagine) throw badField("modalities", `${model.id} draws no images`, "unsupported_value");
  const reader = new ImageReader(service, c);
  const messages: WireMessage[] = [];
  for (const [i, { role, content, images }] of body.messages.entries()) {
    const parts: WirePart[] = [];
    const given = typeof content === "string" ? [{ type: "text" as const, text: content }] : (content ?? []);
    for (const [k, part] of given.entries()) {
      if (part.type === "text") parts.push({ type: "text", text: part.text });
      else parts.push(await reader.read(part, `messages[${i}].content[${k}]`));
    }
    for (const [k, part] of (images ?? []).entries())
      parts.push(await reader.read(part, `messages[${i}].images[${k}]`));
    messages.push({ role: role === "developer" ? "system" : role, content: asContent(parts) });
  }
  if (settings.logPrompts) c.set("logged", { ...c.get("logged"), messages: messages.map(loggable) });
  const wish = {
    messages,
    mayDraw,
    count: body.n,
    maxTokens: body.max_completion_tokens ?? body.max_tokens,
    minTokens: body.min_tokens,
    stop: body.stop,
    topLogprobs: body.logprobs ? (body.top_logprobs ?? 0) : undefined,
    previews: body.partial_images,
  };
  return answerRequests(body, wish, facts.context);
}

/** A single text part becomes a string: text-only templates take no lists of parts. */
export function asContent(parts: readonly WirePart[]): WireMessage["content"] {
  if (parts.length === 0) return "";
  const [only] = parts;
  return parts.length === 1 && only?.type === "text" ? only.text : parts;
}

export function checkCount(n: number, { settings: { limits } }: Service): void {
  if (n > limits.choices) throw badField("n", `Expected \`n\` to be an integer from 1 to ${limits.choices}, got ${n}`);
}

/** Text as it is, images as their size. */
export function loggable({ role, content }: WireMessage): unknown {
  if (typeof content === "string") return { role, content };
  const image = (image: unknown) => (image instanceof Uint8Array ? `image of ${image.byteLength} bytes` : "codes");
  return { role, content: content.map((part) => (part.type === "text" ? part.text : image(part.image))) };
}

/** The image of a part: its codes or, without them, its URL. */
type GivenImage = Pick<z.output<typeof imagePart>, "image_url" | "codes">;

/** Reads the images of one request, and counts them. */
export class ImageReader {
  readonly #service: Service;
  readonly #c: HttpContext;
  #count = 0;

  constructor(service: Service, c: HttpContext) {
    this.#service = service;
    this.#c = c;
  }

  /** Throws a 400 for an invalid image and for too many images. `param` names the part. */
  async read({ image_url, codes }: GivenImage, param: string): Promise<WirePart & { readonly type: "image" }> {
    if (codes) {
      this.#admit(`${param}.codes`);
      return { type: "image", image: codesInput(codes) };
    }
    const place = `${param}.image_url`;
    if (image_url === undefined) throw badField(place, `Expected \`${place}\` to be { url }, got nothing`);
    if (typeof image_url === "string") return this.readUrl(image_url, place);
    return this.readUrl(image_url.url, `${place}.url`);
  }

  /** As `read`, for a URL in the field `param`. */
  async readUrl(url: string, param: string): Promise<WirePart & { readonly type: "image" }> {
    const { settings } = this.#service;
    this.#admit(param);
    return { type: "image", image: await readImageUrl(url, param, { settings, signal: this.#c.req.raw.signal }) };
  }

  #admit(param: string): void {
    const most = this.#service.settings.limits.images;
    if (++this.#count > most) throw badField(param, `A request may have at most ${most} images`, "too_many_images");
  }
}
