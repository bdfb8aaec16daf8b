// The model on a server, by its OpenAI-compatible routes (`kelix serve`): fetch and server-sent events.

import {
  type Backend,
  BackendError,
  type ChatPiece,
  type Codes,
  type DrawPiece,
  type Facts,
  type Message,
  type PageImage,
  type Part,
  type Sampling,
} from "./backend.ts";
import { base64Blob, dataUrl, maskPng } from "./image-data.ts";
import { serverEvents } from "./server-events.ts";

export interface ServerSettings {
  /** Of the server; its routes begin with v1/. */
  readonly url: string;
  /** Sent as a bearer token; "" where the server wants none. */
  readonly key: string;
}

/** Images on the way that are asked for; a server gives no more. */
const PREVIEWS = 3;
/** Between two questions whether the model is loaded. */
const WAIT_MS = 500;

interface ImageData64 {
  readonly b64_json: string;
  readonly seed?: number;
  readonly codes?: Codes;
}

type ImageEvent = ImageData64 & { readonly type: string };

interface ChatImage {
  readonly image_url: { readonly url: string };
  readonly seed?: number;
  readonly codes?: Codes;
}

interface ChatChunk {
  readonly choices: readonly {
    readonly delta: {
      readonly content?: string | null;
      readonly images?: readonly ChatImage[];
      readonly partial_images?: readonly ChatImage[];
    };
    readonly finish_reason?: string | null;
  }[];
  readonly usage?: { readonly completion_tokens: number } | null;
}

interface ModelEntry {
  readonly id: string;
  readonly owned_by?: string;
  /** Absent until the model is loaded, and of servers of another kind. */
  readonly kelix?: {
    readonly canChat: boolean;
    readonly canImagine: boolean;
    readonly canReconstruct: boolean;
    readonly codebooks: number;
    readonly codesPerBook: number;
    readonly drawing?: Sampling;
  };
}

export class ServerBackend implements Backend {
  readonly place = "server";
  readonly #settings: ServerSettings;
  #facts: Promise<Facts> | undefined;
  #isClosed = false;

  constructor(settings: ServerSettings) {
    this.#settings = settings;
  }

  open(): Promise<Facts> {
    this.#facts ??= this.#readFacts().catch((error) => {
      this.#facts = undefined;
      throw error;
    });
    return this.#facts;
  }

  async *chat(messages: readonly Message[], sampling: Sampling, signal: AbortSignal): AsyncGenerator<ChatPiece> {
    const { name, canImagine } = await this.open();
    const body = {
      model: name,
      messages: await Promise.all(messages.map(chatMessage)),
      modalities: canImagine ? ["text", "image"] : ["text"],
      ...fields(sampling),
      max_completion_tokens: sampling.maxNewTokens,
      stream: true,
      ...(canImagine && { partial_images: PREVIEWS }),
      stream_options: { include_usage: true },
    };
    let finishReason = "stop";
    let tokens = 0;
    for await (const { choices, usage } of this.#events<ChatChunk>("chat/completions", body, signal)) {
      for (const { delta, finish_reason } of choices) {
        if (delta.content) yield { type: "text", text: delta.content };
        for (const { image_url } of delta.partial_images ?? [])
          yield { type: "preview", blob: await blobOf(image_url.url) };
        for (const { image_url, ...drawn } of delta.images ?? [])
          yield { type: "image", image: { blob: await blobOf(image_url.url), ...factsOf(drawn) } };
        finishReason = finish_reason ?? finishReason;
      }
      tokens = usage?.completion_tokens ?? tokens;
    }
    yield { type: "end", finishReason, tokens };
  }

  async *imagine(prompt: string, sampling: Sampling, signal: AbortSignal): AsyncGenerator<DrawPiece> {
    const { name: model } = await this.open();
    const body = { model, prompt, ...fields(sampling), stream: true, partial_images: PREVIEWS };
    yield* drawPieces(this.#events<ImageEvent>("images/generations", body, signal), prompt);
  }

  async *edit(
    { blob, codes }: PageImage,
    prompt: string,
    mask: readonly boolean[] | undefined,
    sampling: Sampling,
    signal: AbortSignal,
  ): AsyncGenerator<DrawPiece> {
    const { name: model } = await this.open();
    const form = new FormData();
    const own = { model, prompt, ...fields(sampling), stream: true, partial_images: PREVIEWS };
    for (const [key, value] of Object.entries(own)) if (value !== undefined) form.set(key, `${value}`);
    form.set("image", blob, "image.png");
    if (codes) form.set("codes", JSON.stringify(codes)); // read in place of the pixels, so that what is kept is kept exactly
    if (mask && codes) form.set("mask", await maskPng(mask, codes.grid), "mask.png");
    yield* drawPieces(this.#events<ImageEvent>("images/edits", form, signal), prompt);
  }

  async tokenize({ blob }: PageImage, signal?: AbortSignal): Promise<Codes> {
    const { name: model } = await this.open();
    const answer = await this.#post("images/tokenize", { model, image: await dataUrl(blob) }, signal);
    return plainCodes((await answer.json()) as Codes);
  }

  async reconstruct(codes: Codes, { seed = 0, ...sampling }: Sampling, signal?: AbortSignal): Promise<PageImage> {
    const { name: model } = await this.open();
    const { num_inference_steps, guidance_scale } = fields(sampling);
    const body = {
      model,
      grid: codes.grid,
      codes: codes.codes,
      seed,
      num_inference_steps,
      guidance_scale,
      format: "png",
    };
    const answer = await this.#post("images/detokenize", body, signal);
    return { blob: await answer.blob(), codes };
  }

  async embed({ blob }: PageImage, signal?: AbortSignal): Promise<Float32Array> {
    const { name: model } = await this.open();
    const answer = await this.#post("embeddings", { model, input: [await dataUrl(blob)] }, signal);
    const { data } = (await answer.json()) as { data: readonly { embedding: readonly number[] }[] };
    return Float32Array.from(data[0]!.embedding);
  }

  close(): void {
    this.#isClosed = true;
    this.#facts = undefined;
  }

  async #readFacts(): Promise<Facts> {
    let model = await this.#readModel();
    // It listens before the model is loaded.
    while (model.owned_by === "kelix" && !model.kelix && !this.#isClosed) {
      await new Promise((resolve) => setTimeout(resolve, WAIT_MS));
      model = await this.#readModel();
    }
    const {
      canChat = true,
      canImagine = true,
      canReconstruct = true,
      codebooks = 8,
      codesPerBook = 256,
      drawing: defaults = {},
    } = model.kelix ?? {};
    return {
      name: model.id,
      canChat,
      canImagine,
      canReconstruct,
      codebooks,
      codesPerBook,
      defaults: { ...defaults, seed: 0 },
    };
  }

  async #readModel(): Promise<ModelEntry> {
    const { data } = (await (await this.#fetch("models", {})).json()) as { data: readonly ModelEntry[] };
    const model = data[0];
    if (model) return model;
    throw new BackendError("The server has no model. Start it with one: kelix serve --model MODEL", "model_not_found");
  }

  /** The events of a stream. Throws a BackendError for one that tells of an error. */
  async *#events<T>(route: string, body: object, signal: AbortSignal): AsyncGenerator<T> {
    const response = await this.#post(route, body, signal);
    for await (const event of serverEvents(response.body!)) {
      const { error } = event as { error?: { message: string; code?: string | null } };
      if (error) throw new BackendError(error.message, error.code ?? "internal");
      yield event as T;
    }
  }

  #post(route: string, body: object, signal: AbortSignal | undefined): Promise<Response> {
    const isForm = body instanceof FormData;
    return this.#fetch(route, {
      method: "POST",
      body: isForm ? body : JSON.stringify(body),
      ...(!isForm && { headers: { "content-type": "application/json" } }),
      ...(signal && { signal }),
    });
  }

  async #fetch(route: string, init: RequestInit): Promise<Response> {
    const { url, key } = this.#settings;
    const headers = { ...init.headers, ...(key && { authorization: `Bearer ${key}` }) };
    const address = new URL(`v1/${route}`, url.endsWith("/") ? url : `${url}/`);
    const response = await fetch(address, { ...init, headers }).catch((error) => {
      if (init.signal?.aborted) throw error;
      throw new BackendError(
        `There is no answer from ${address.origin}. Start a server with "kelix serve", or use the model in this browser.`,
        "fetch_failed",
      );
    });
    if (response.ok) return response;
    if (response.status === 401) {
      const wayOut = key ? "the one in the settings is not known there" : "give it in the settings";
      throw new BackendError(`${address.origin} wants an API key: ${wayOut}.`, "unauthorized");
    }
    const { error } = ((await response.json().catch(() => ({}))) ?? {}) as {
      error?: { message: string; code?: string };
    };
    throw new BackendError(
      error?.message ?? `${address.origin} answered with status ${response.status}. Is it a Kelix server?`,
      error?.code ?? "fetch_failed",
    );
  }
}

/** Settings under the names of OpenAI and vLLM. */
function fields({ temperature, topP, topK, seed = 0, steps, guidance }: Sampling) {
  return { temperature, top_p: topP, top_k: topK, seed, num_inference_steps: steps, guidance_scale: guidance };
}

async function chatMessage({ role, content }: Message): Promise<object> {
  const part = async (own: Part) => {
    if (own.type === "text") return own;
    const { blob, codes } = own.image;
    return { type: "image_url", image_url: { url: await dataUrl(blob) }, codes };
  };
  return { role, content: await Promise.all(content.map(part)) };
}

async function* drawPieces(events: AsyncIterable<ImageEvent>, prompt: string): AsyncGenerator<DrawPiece> {
  for await (const { type, b64_json, ...drawn } of events) {
    const blob = base64Blob(b64_json);
    if (type.endsWith("partial_image")) yield { type: "preview", blob };
    else if (type.endsWith("completed")) yield { type: "image", image: { blob, prompt, ...factsOf(drawn) } };
  }
}

/** What a server says of an image that it drew; another's may say nothing. */
function factsOf({ seed, codes }: { readonly seed?: number; readonly codes?: Codes }): Omit<PageImage, "blob"> {
  return { ...(seed !== undefined && { seed }), ...(codes && { codes: plainCodes(codes) }) };
}

function plainCodes({ grid, codes, width, height }: Codes): Codes {
  return { grid, codes, width, height };
}

async function blobOf(dataUrl: string): Promise<Blob> {
  return (await fetch(dataUrl)).blob();
}
