// POST /v1/chat/completions: answers in OpenAI's form, with images in `message.images` and `delta.images` like OpenRouter.

import { randomUUID } from "node:crypto";
import type { Usage } from "../../chat/chat.ts";
import type { TokenLogprobs } from "../../chat/logprobs.ts";
import type { EngineEvent } from "../protocol.ts";
import type { ApiError } from "./api-error.ts";
import { readJson } from "./body.ts";
import { type ChatBody, chatRequests, readChatBody } from "./chat-request.ts";
import { DONE, event as line } from "./event-stream.ts";
import { codesOf } from "./image-codes.ts";
import { findModel, type HttpContext, type Service } from "./service.ts";
import { begin, type Encoder, gather, type IndexedEvent, respondStream } from "./work.ts";

const PARAM = "messages";

export async function chat(service: Service, c: HttpContext): Promise<Response> {
  const body = readChatBody(await readJson(c, service.settings.limits));
  const model = findModel(service, body.model);
  const work = begin(service, c, model, await chatRequests(service, c, model, body));
  const head = { id: `chatcmpl-${randomUUID()}`, created: Math.floor(Date.now() / 1000), model: model.id };
  if (body.stream) return respondStream(service, c, work, new ChatEncoder(head, body), PARAM);
  const answers = await gather(work, PARAM);
  return c.json({
    ...head,
    object: "chat.completion",
    choices: answers.map((events, index) => choice(index, events, body.logprobs)),
    usage: usageOf(answers.map(endOf)),
  });
}

type Head = { readonly id: string; readonly created: number; readonly model: string };
type End = Extract<EngineEvent, { type: "end" }>;
type ImageEvent = Extract<EngineEvent, { type: "image" }>;

function choice(index: number, events: readonly EngineEvent[], hasLogprobs: boolean): unknown {
  const texts = events.filter((event) => event.type === "text");
  const images = events.filter((event) => event.type === "image");
  const content = texts.map(({ text }) => text).join("");
  const logprobs = texts.flatMap(({ logprobs = [] }) => logprobs).map(tokenOf);
  return {
    index,
    message: { role: "assistant", content, refusal: null, ...(images.length > 0 && { images: images.map(imageOf) }) },
    logprobs: hasLogprobs ? { content: logprobs, refusal: null } : null,
    finish_reason: endOf(events).finishReason,
  };
}

/** An image as a part that can be sent back unchanged. */
function imageOf({ png, seed, codes, receipt }: ImageEvent, index: number): unknown {
  const facts = { seed, codes: codesOf(codes), ...(receipt !== undefined && { receipt }) };
  return { type: "image_url", index, image_url: { url: dataUrl(png) }, ...facts };
}

export function dataUrl(png: Uint8Array): string {
  return `data:image/png;base64,${base64(png)}`;
}

export function base64({ buffer, byteOffset, byteLength }: Uint8Array): string {
  return Buffer.from(buffer, byteOffset, byteLength).toString("base64");
}

/** A token in OpenAI's form. */
export function tokenOf({ text, bytes, logprob, top }: TokenLogprobs): unknown {
  return { ...tokenAlone({ text, bytes, logprob }), top_logprobs: top.map(tokenAlone) };
}

export function tokenAlone({ text, bytes, logprob }: Omit<TokenLogprobs, "top">) {
  return { token: text, logprob, bytes };
}

function endOf(events: readonly EngineEvent[]): End {
  return events.at(-1) as End;
}

/** All answers share one prompt, which counts once; their output adds up. */
function usageOf(ends: readonly End[]): unknown {
  const { promptTokens, cachedPromptTokens } = ends[0]!.usage;
  const completion = ends.reduce((sum: number, { usage }: { usage: Usage }) => sum + usage.completionTokens, 0);
  return {
    prompt_tokens: promptTokens,
    completion_tokens: completion,
    total_tokens: promptTokens + completion,
    prompt_tokens_details: { cached_tokens: cachedPromptTokens },
  };
}

class ChatEncoder implements Encoder {
  readonly #head: Head;
  readonly #body: ChatBody;
  readonly #images = new Map<number, number>();
  readonly #ends: End[] = [];

  constructor(head: Head, body: ChatBody) {
    this.#head = head;
    this.#body = body;
  }

  encode({ index, event }: IndexedEvent): string {
    let opening = "";
    if (!this.#images.has(index)) {
      this.#images.set(index, 0);
      opening = this.#delta(index, { role: "assistant", content: "" });
    }
    return opening + this.#event(index, event);
  }

  #event(index: number, event: EngineEvent): string {
    if (event.type === "text") {
      const { text, logprobs } = event;
      return this.#delta(index, { content: text }, logprobs && { content: logprobs.map(tokenOf), refusal: null });
    }
    if (event.type === "image") {
      const number = this.#images.get(index)!;
      this.#images.set(index, number + 1);
      return this.#delta(index, { images: [imageOf(event, number)] });
    }
    if (event.type === "preview") {
      const place = { index: this.#images.get(index)!, partial_image_index: event.index };
      return this.#delta(index, {
        partial_images: [{ type: "image_url", ...place, image_url: { url: dataUrl(event.png) } }],
      });
    }
    if (event.type !== "end") return "";
    this.#ends.push(event);
    return this.#delta(index, {}, null, event.finishReason);
  }

  #delta(index: number, delta: unknown, logprobs: unknown = null, finishReason: string | null = null): string {
    return this.#chunk([{ index, delta, logprobs, finish_reason: finishReason }], null);
  }

  #chunk(choices: readonly unknown[], usage: unknown): string {
    const wantsUsage = this.#body.stream_options?.include_usage;
    return line({ ...this.#head, object: "chat.completion.chunk", choices, ...(wantsUsage && { usage }) });
  }

  end(): string {
    return (this.#body.stream_options?.include_usage ? this.#chunk([], usageOf(this.#ends)) : "") + DONE;
  }

  fail(error: ApiError): string {
    return line(error.body) + DONE;
  }
}
