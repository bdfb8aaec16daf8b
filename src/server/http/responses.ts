// POST /v1/responses: an answer as a list of messages and images in the order they were written, whole or as a stream of events. A whole answer is
// the content of the stream's last event, so there is only one encoder.

import { randomUUID } from "node:crypto";
import type { TokenLogprobs } from "../../chat/logprobs.ts";
import type { EngineEvent } from "../protocol.ts";
import type { ApiError } from "./api-error.ts";
import { readJson } from "./body.ts";
import { base64, tokenOf } from "./chat.ts";
import { event as line } from "./event-stream.ts";
import { codesOf } from "./image-codes.ts";
import { now } from "./images.ts";
import { type ResponsesBody, readResponsesBody, responsesRequests } from "./responses-request.ts";
import { findModel, type HttpContext, type Service } from "./service.ts";
import { begin, type Encoder, gather, type IndexedEvent, respondStream } from "./work.ts";

const PARAM = "input";

export async function respond(service: Service, c: HttpContext): Promise<Response> {
  const body = readResponsesBody(await readJson(c, service.settings.limits));
  const model = findModel(service, body.model);
  const work = begin(service, c, model, await responsesRequests(service, c, model, body));
  const encoder = new ResponseEncoder(model.id, body);
  if (body.stream) return respondStream(service, c, work, encoder, PARAM);
  const [events] = await gather(work, PARAM);
  for (const event of events!) encoder.encode({ index: 0, event });
  return c.json(encoder.response as object);
}

type Usage = Extract<EngineEvent, { type: "end" }>["usage"];

interface Message {
  readonly id: string;
  text: string;
  readonly logprobs: TokenLogprobs[];
}

/** Accumulates the answer. */
class ResponseEncoder implements Encoder {
  readonly #body: ResponsesBody;
  readonly #model: string;
  readonly #id = `resp_${randomUUID()}`;
  readonly #createdAt = now();
  readonly #output: unknown[] = [];
  /** The message being written. */
  #message: Message | undefined;
  /** The id of the image being drawn. */
  #imageId: string | undefined;
  #sequence = 0;
  #status: "in_progress" | "completed" | "incomplete" = "in_progress";
  #usage: Usage | undefined;

  constructor(model: string, body: ResponsesBody) {
    this.#model = model;
    this.#body = body;
  }

  encode({ event }: IndexedEvent): string {
    const opening =
      this.#sequence > 0 ? "" : this.#line("created", this.#whole()) + this.#line("in_progress", this.#whole());
    if (event.type === "text") return opening + this.#write(event.text, event.logprobs);
    if (event.type === "preview") return opening + this.#preview(event);
    if (event.type === "image") return opening + this.#draw(event);
    if (event.type !== "end") return opening;
    this.#status = event.finishReason === "length" ? "incomplete" : "completed";
    this.#usage = event.usage;
    const closing = this.#closeMessage(this.#status);
    return opening + closing + this.#line(this.#status, this.#whole());
  }

  #write(text: string, logprobs: readonly TokenLogprobs[] = []): string {
    let opening = "";
    if (!this.#message) {
      this.#message = { id: `msg_${randomUUID()}`, text: "", logprobs: [] };
      const item = { ...this.#item("in_progress"), content: [] };
      opening =
        this.#line("output_item.added", { output_index: this.#output.length, item }) +
        this.#line("content_part.added", { ...this.#place(), part: this.#part() });
    }
    this.#message.text += text;
    this.#message.logprobs.push(...logprobs);
    const delta = { ...this.#place(), delta: text, logprobs: logprobs.map(tokenOf) };
    return opening + this.#line("output_text.delta", delta);
  }

  #closeMessage(status: string): string {
    if (!this.#message) return "";
    const { text, logprobs } = this.#message;
    const item = this.#item(status);
    const lines =
      this.#line("output_text.done", { ...this.#place(), text, logprobs: logprobs.map(tokenOf) }) +
      this.#line("content_part.done", { ...this.#place(), part: this.#part() }) +
      this.#line("output_item.done", { output_index: this.#output.length, item });
    this.#output.push(item);
    this.#message = undefined;
    return lines;
  }

  #draw({ png, seed, codes, receipt }: Extract<EngineEvent, { type: "image" }>): string {
    const opening = this.#openImage();
    const place = this.#imagePlace();
    const facts = { seed, codes: codesOf(codes), ...(receipt !== undefined && { receipt }) };
    const item = { ...callOf(place.item_id, "completed"), result: base64(png), ...facts };
    const lines =
      this.#line("image_generation_call.completed", place) +
      this.#line("output_item.done", { output_index: place.output_index, item });
    this.#output.push(item);
    this.#imageId = undefined;
    return opening + lines;
  }

  #preview({ png, index }: Extract<EngineEvent, { type: "preview" }>): string {
    const opening = this.#openImage();
    const image = { partial_image_index: index, partial_image_b64: base64(png) };
    return opening + this.#line("image_generation_call.partial_image", { ...this.#imagePlace(), ...image });
  }

  /** The events that begin an image; none if it has begun. */
  #openImage(): string {
    if (this.#imageId !== undefined) return "";
    const closing = this.#closeMessage("completed");
    this.#imageId = `ig_${randomUUID()}`;
    const place = this.#imagePlace();
    const item = callOf(place.item_id, "in_progress");
    return (
      closing +
      this.#line("output_item.added", { output_index: place.output_index, item }) +
      this.#line("image_generation_call.in_progress", place)
    );
  }

  #imagePlace() {
    return { output_index: this.#output.length, item_id: this.#imageId! };
  }

  #place() {
    return { item_id: this.#message!.id, output_index: this.#output.length, content_index: 0 };
  }

  #part() {
    const { text, logprobs } = this.#message!;
    return { type: "output_text", text, annotations: [], logprobs: logprobs.map(tokenOf) };
  }

  #item(status: string) {
    return { type: "message", id: this.#message!.id, status, role: "assistant", content: [this.#part()] };
  }

  #line(name: string, fields: Readonly<Record<string, unknown>>): string {
    const type = `response.${name}`;
    return line({ type, ...fields, sequence_number: this.#sequence++ }, type);
  }

  #whole() {
    return { response: this.response };
  }

  /** The answer so far. */
  get response(): unknown {
    const { instructions = null, max_output_tokens = null, temperature = null, top_p = null, tools } = this.#body;
    return {
      id: this.#id,
      object: "response",
      created_at: this.#createdAt,
      status: this.#status,
      error: null,
      incomplete_details: this.#status === "incomplete" ? { reason: "max_output_tokens" } : null,
      instructions,
      max_output_tokens,
      model: this.#model,
      output: [...this.#output],
      parallel_tool_calls: false,
      previous_response_id: null,
      reasoning: { effort: null, summary: null },
      store: false,
      temperature,
      text: { format: { type: "text" } },
      tool_choice: "auto",
      tools,
      top_p,
      truncation: "disabled",
      usage: this.#usage ? usageOf(this.#usage) : null,
      metadata: {},
    };
  }

  end(): string {
    return "";
  }

  /** One event with both forms of an error that clients know. */
  fail(error: ApiError): string {
    const { error: inner } = error.body;
    return line({ ...inner, type: "error", error: inner, sequence_number: this.#sequence++ }, "error");
  }
}

function callOf(id: string, status: string) {
  return { type: "image_generation_call", id, status, result: null };
}

function usageOf({ promptTokens, cachedPromptTokens, completionTokens }: Usage): unknown {
  return {
    input_tokens: promptTokens,
    input_tokens_details: { cached_tokens: cachedPromptTokens },
    output_tokens: completionTokens,
    output_tokens_details: { reasoning_tokens: 0 },
    total_tokens: promptTokens + completionTokens,
  };
}
