// A model behind `kelix serve`.

import { APICallError, type JSONObject } from "@ai-sdk/provider";
import * as z from "zod";
import { toBase64 } from "../files/base64.ts";
import { findFormat } from "../image/image-format.ts";
import {
  type AnswerPiece,
  type AskedMessage,
  type AskedPart,
  type Backend,
  type CallSetting,
  type Drawn,
  type GivenImage,
  type Sampling,
  usageOf,
} from "./backend.ts";
import { readEvents } from "./read-events.ts";

export interface RemoteSettings {
  readonly baseURL: string;
  readonly apiKey: string | undefined;
  readonly headers: Readonly<Record<string, string>>;
  readonly fetch: typeof globalThis.fetch;
}

const errorSchema = z.object({
  error: z.object({ message: z.string(), type: z.string().nullish(), code: z.string().nullish() }),
});
const imageSchema = z.looseObject({ image_url: z.object({ url: z.string() }) });
const chunkSchema = z.looseObject({
  choices: z.array(
    z.looseObject({
      delta: z.looseObject({ content: z.string().nullish(), images: z.array(imageSchema).nullish() }),
      finish_reason: z.string().nullish(),
    }),
  ),
  usage: z
    .looseObject({
      prompt_tokens: z.number(),
      completion_tokens: z.number(),
      prompt_tokens_details: z.looseObject({ cached_tokens: z.number().nullish() }).nullish(),
    })
    .nullish(),
});
const imagesSchema = z.looseObject({
  data: z.array(z.looseObject({ b64_json: z.string() })),
  usage: z.looseObject({ input_tokens: z.number(), output_tokens: z.number(), total_tokens: z.number() }).nullish(),
});
const vectorsSchema = z.looseObject({
  data: z.array(z.looseObject({ embedding: z.array(z.number()) })),
  usage: z.looseObject({ prompt_tokens: z.number() }).nullish(),
});

export function remote(settings: RemoteSettings): Backend {
  const server = new Server(settings);
  return {
    async *answer(model, asked, setting) {
      const body = {
        model,
        messages: asked.messages.map(messageOf),
        modalities: asked.mayDraw ? ["text", "image"] : ["text"],
        max_completion_tokens: asked.maxTokens,
        ...(asked.stop.length > 0 && { stop: asked.stop }),
        ...optionsOf(asked),
        stream: true,
        stream_options: { include_usage: true },
      };
      const call = await server.post("/chat/completions", JSON.stringify(body), body, setting);
      yield* answerOf(call, setting);
    },
    async draw(model, asked, setting) {
      const { prompt, n, size, image, mask } = asked;
      const body = { model, prompt, n, size, ...optionsOf(asked) };
      if (image === undefined) {
        const call = await server.post("/images/generations", JSON.stringify(body), body, setting);
        return drawnOf(await call.json(imagesSchema));
      }
      const form = new FormData();
      for (const [name, value] of Object.entries(body)) if (value !== undefined) form.set(name, String(value));
      form.set("image", fileOf(image), "image.png");
      if (mask !== undefined) form.set("mask", fileOf(mask), "mask.png");
      const call = await server.post("/images/edits", form, body, setting);
      return drawnOf(await call.json(imagesSchema));
    },
    async embed(model, input, setting) {
      const call = await server.post("/embeddings", JSON.stringify({ model, input }), { model }, setting);
      const { data, usage } = await call.json(vectorsSchema);
      return { vectors: data.map(({ embedding }) => embedding), tokens: usage?.prompt_tokens };
    },
  };
}

class Server {
  readonly #settings: RemoteSettings;

  constructor(settings: RemoteSettings) {
    this.#settings = settings;
  }

  /** Throws an APICallError for an answer that is none, and where there is no answer. */
  async post(path: string, body: string | FormData, values: unknown, { signal, headers }: CallSetting): Promise<Call> {
    const { baseURL, apiKey, fetch } = this.#settings;
    const url = `${baseURL.replace(/\/+$/, "")}${path}`;
    const given = { ...this.#settings.headers, ...headers };
    const sent = new Headers(
      Object.entries(given).filter((entry): entry is [string, string] => entry[1] !== undefined),
    );
    if (apiKey !== undefined && !sent.has("authorization")) sent.set("authorization", `Bearer ${apiKey}`);
    if (typeof body === "string") sent.set("content-type", "application/json");
    let response: Response;
    try {
      response = await fetch(url, { method: "POST", headers: sent, body, signal: signal ?? null });
    } catch (cause) {
      if (signal?.aborted) throw signal.reason;
      const message = `No answer from ${new URL(url).origin}: does \`kelix serve\` run there?`;
      throw new APICallError({ message, url, requestBodyValues: values, isRetryable: true, cause });
    }
    const call = new Call(url, values, response);
    if (!response.ok) throw await call.refusal();
    return call;
  }
}

/** A request that was answered. */
class Call {
  readonly #url: string;
  readonly #values: unknown;
  readonly response: Response;

  constructor(url: string, values: unknown, response: Response) {
    this.#url = url;
    this.#values = values;
    this.response = response;
  }

  async json<T>(schema: z.ZodType<T>): Promise<T> {
    return this.check(schema, await this.response.json().catch(() => undefined));
  }

  check<T>(schema: z.ZodType<T>, json: unknown): T {
    const { data, error } = schema.safeParse(json);
    if (!error) return data;
    throw this.error("The server's answer has not the form of OpenAI's API: is it `kelix serve`?", { cause: error });
  }

  /** Why the server refused, in its own words. */
  async refusal(): Promise<APICallError> {
    const text = await this.response.text().catch(() => "");
    let body: unknown;
    try {
      body = JSON.parse(text);
    } catch {
      body = undefined;
    }
    const { data } = errorSchema.safeParse(body);
    const { status } = this.response;
    const message = data?.error.message ?? `The server answered with status ${status}`;
    return this.error(message, { responseBody: text, data: data?.error, isRetryable: isWorthATry(status) });
  }

  error(message: string, more: Partial<ConstructorParameters<typeof APICallError>[0]> = {}): APICallError {
    const { status, headers } = this.response;
    const answered = { statusCode: status, responseHeaders: Object.fromEntries(headers) };
    return new APICallError({ message, url: this.#url, requestBodyValues: this.#values, ...answered, ...more });
  }
}

function isWorthATry(status: number): boolean {
  return status === 408 || status === 409 || status === 429 || status >= 500;
}

/** What a stream that fails says of it, as the status that it would have been. */
const laterStatus: Readonly<Record<string, number>> = {
  rate_limit_error: 429,
  server_error: 500,
  timeout_error: 504,
  invalid_request_error: 400,
};

async function* answerOf(call: Call, { signal }: CallSetting): AsyncGenerator<AnswerPiece, void, void> {
  let finishReason = "stop";
  try {
    for await (const json of readEvents(call.response)) {
      const failed = errorSchema.safeParse(json).data?.error;
      if (failed) {
        const statusCode = laterStatus[failed.type ?? ""] ?? 500;
        throw call.error(failed.message, { statusCode, data: failed, isRetryable: isWorthATry(statusCode) });
      }
      const { choices, usage } = call.check(chunkSchema, json);
      for (const { delta, finish_reason } of choices) {
        if (delta.content) yield { type: "text", text: delta.content };
        for (const { image_url, ...facts } of delta.images ?? [])
          yield { type: "image", data: base64Of(image_url.url), facts: factsOf(facts) };
        if (finish_reason) finishReason = finish_reason;
      }
      if (!usage) continue;
      const { prompt_tokens, completion_tokens, prompt_tokens_details } = usage;
      const told = usageOf(prompt_tokens, prompt_tokens_details?.cached_tokens ?? 0, completion_tokens);
      yield { type: "end", finishReason, usage: told };
      return;
    }
  } catch (error) {
    if (signal?.aborted) throw signal.reason;
    if (APICallError.isInstance(error)) throw error;
    throw call.error("The server's answer was cut", { isRetryable: true, cause: error });
  }
  throw call.error("The server's answer ended before its end", { isRetryable: true });
}

function optionsOf({ seed, temperature, topP, topK, steps, guidance }: Sampling) {
  const options = { seed, temperature, top_p: topP, top_k: topK, num_inference_steps: steps, guidance_scale: guidance };
  return Object.fromEntries(Object.entries(options).filter(([, value]) => value !== undefined));
}

function messageOf({ role, content }: AskedMessage) {
  const [only] = content;
  if (content.length === 1 && only?.type === "text") return { role, content: only.text };
  return { role, content: content.map(partOf) };
}

function partOf(part: AskedPart) {
  if (part.type === "text") return part;
  return { type: "image_url", image_url: { url: dataUrl(part.image) }, ...(part.codes && { codes: part.codes }) };
}

/** The server tells the kind of an image by its bytes. */
function dataUrl(image: GivenImage): string {
  return `data:image/png;base64,${typeof image === "string" ? image : toBase64(image)}`;
}

function fileOf(image: GivenImage): Blob {
  const bytes = typeof image === "string" ? fromBase64(image) : new Uint8Array(image);
  return new Blob([bytes], { type: `image/${findFormat(bytes) ?? "png"}` });
}

function drawnOf({ data, usage }: z.output<typeof imagesSchema>): Drawn {
  const pieces = data.map(({ b64_json, ...facts }) => ({ data: b64_json, facts: factsOf(facts) }));
  if (!usage) return { pieces, usage: undefined };
  const { input_tokens, output_tokens, total_tokens } = usage;
  return { pieces, usage: { inputTokens: input_tokens, outputTokens: output_tokens, totalTokens: total_tokens } };
}

function factsOf({ seed, codes, receipt }: Readonly<Record<string, unknown>>): JSONObject {
  const facts = Object.entries({ seed, codes, receipt }).filter(([, value]) => value !== undefined);
  return Object.fromEntries(facts) as JSONObject;
}

function base64Of(url: string): string {
  return url.slice(url.indexOf(",") + 1);
}

function fromBase64(text: string): Uint8Array<ArrayBuffer> {
  return Uint8Array.from(atob(text), (character) => character.charCodeAt(0));
}
