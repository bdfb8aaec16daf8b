// Programs that people have, against a running server: OpenAI's client in two versions, and Vercel's AI SDK with two of its providers.

import { readFile } from "node:fs/promises";
import { createOpenAI } from "@ai-sdk/openai";
import { createOpenAICompatible } from "@ai-sdk/openai-compatible";
import { generateImage, generateText, streamText, type Tool } from "ai";
import OpenAI, { APIError, AuthenticationError, BadRequestError, NotFoundError, toFile } from "openai";
import OpenAI5 from "openai5";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { createKelix } from "../src/ai-sdk/index.ts";
import { decodeImage } from "../src/image/codec.node.ts";
import { openEngine } from "../src/server/engine/engine.ts";
import { type HttpServer, listen } from "../src/server/http/listen.ts";
import { type Engine, EngineError } from "../src/server/protocol.ts";
import { httpSettings } from "./http-app.ts";
import { end, ScriptedEngine } from "./scripted-engine.ts";

const KEY = "secret-key";
const MODEL = "kelix-nano";
const user = (content: string) => [{ role: "user" as const, content }];
/** Draws fast: an extension that OpenAI's types do not know. */
const few = { temperature: 0, num_inference_steps: 2 };
const rocket = await readFile(new URL("../data/heldout/demo/rocket.png", import.meta.url));
const rocketUrl = `data:image/png;base64,${rocket.toString("base64")}`;

let engine: Engine;
let server: HttpServer;
let baseURL: string;

beforeAll(async () => {
  engine = openEngine({ model: MODEL, load: { threads: 1 } });
  server = await listen({ engine, settings: httpSettings({ apiKeys: [KEY] }) }, { port: 0 });
  baseURL = `${server.url}/v1`;
  await engine.ready;
});

afterAll(async () => {
  await engine.close({ graceMs: 0 });
  await server.close();
});

interface DrawnPart {
  readonly image_url: { readonly url: string };
  readonly codes: { readonly grid: number[]; readonly codes: number[] };
}

/** Width and height of an image, which must be one. */
async function sizeOf(base64: string): Promise<number[]> {
  const { width, height } = await decodeImage(Buffer.from(base64.replace(/^data:image\/png;base64,/, ""), "base64"));
  return [width, height];
}

describe.each([
  ["6", OpenAI],
  ["5", OpenAI5 as unknown as typeof OpenAI],
])("openai %s", (_, Client) => {
  let client: OpenAI;
  beforeAll(() => {
    client = new Client({ baseURL, apiKey: KEY, maxRetries: 0 });
  });

  test("lists models, and answers whole and as a stream with the same text", async () => {
    expect((await client.models.list()).data.map(({ id }) => id)).toEqual([MODEL]);
    const request = { model: MODEL, messages: user("What is red?"), seed: 1, max_tokens: 20 };
    const whole = await client.chat.completions.create(request);
    expect(whole.choices[0]!.finish_reason).toBe("stop");
    expect(whole.usage!.total_tokens).toBe(whole.usage!.prompt_tokens + whole.usage!.completion_tokens);
    const stream = client.chat.completions.stream({ ...request, stream_options: { include_usage: true } });
    let text = "";
    for await (const chunk of stream) text += chunk.choices[0]?.delta.content ?? "";
    expect(text).toBe(whole.choices[0]!.message.content);
    expect((await stream.totalUsage()).prompt_tokens).toBe(whole.usage!.prompt_tokens);
  });

  test("an image goes in, and asked again its prefix is cached", async () => {
    const image = { type: "image_url" as const, image_url: { url: rocketUrl } };
    const content = [image, { type: "text" as const, text: "What is this?" }];
    const ask = () =>
      client.chat.completions.create({ model: MODEL, messages: [{ role: "user", content }], temperature: 0 });
    expect((await ask()).choices[0]!.message.content).toContain("rocket");
    expect((await ask()).usage!.prompt_tokens_details!.cached_tokens).toBeGreaterThan(36);
  });

  test("an image comes out, whole and streamed, and goes back in", async () => {
    const messages = user("Draw two red circles.");
    const request = { model: MODEL, messages, modalities: ["text", "image"] as never, seed: 1, ...few };
    const { choices } = await client.chat.completions.create(request);
    const message = choices[0]!.message as OpenAI.ChatCompletionMessage & { images: DrawnPart[] };
    expect(await sizeOf(message.images[0]!.image_url.url)).toEqual([96, 96]);
    const stream = client.chat.completions.stream(request);
    const streamed = (await stream.finalMessage()) as typeof message;
    expect(streamed.images[0]!.image_url.url.length).toBeGreaterThan(100);
    expect(streamed.images[0]!.codes).toEqual(message.images[0]!.codes);
    const again = [...messages, message, ...user("What is this?")] as OpenAI.ChatCompletionMessageParam[];
    const { usage } = await client.chat.completions.create({ model: MODEL, messages: again });
    // With its codes it is what the model wrote: the KV cache still has it.
    expect(usage!.prompt_tokens_details!.cached_tokens).toBeGreaterThan(36);
  });

  test("responses: text, events, and an image as a tool's result", async () => {
    const request = { model: MODEL, input: "What is red?", ...few };
    const { output_text, usage } = await client.responses.create(request);
    expect(output_text.length).toBeGreaterThan(0);
    expect(usage!.input_tokens).toBeGreaterThan(3);
    let text = "";
    for await (const event of await client.responses.create({ ...request, stream: true })) {
      if (event.type === "response.output_text.delta") text += event.delta;
    }
    expect(text).toBe(output_text);
    const final = await client.responses
      .stream({ ...request, input: "Draw two red circles.", tools: [{ type: "image_generation" }] })
      .finalResponse();
    const image = final.output.find(({ type }) => type === "image_generation_call");
    expect(await sizeOf((image as { result: string }).result)).toEqual([96, 96]);
  });

  test("images: the same seed gives the same, partial ones come first", async () => {
    const request = { model: MODEL, prompt: "two red circles", num_inference_steps: 3, seed: 5 } as const;
    const [a, b] = [await client.images.generate(request), await client.images.generate({ ...request, n: 1 })];
    expect(await sizeOf(a.data![0]!.b64_json!)).toEqual([96, 96]);
    const pixels = async (image: string) => (await decodeImage(Buffer.from(image, "base64"))).data;
    expect(await pixels(a.data![0]!.b64_json!)).toEqual(await pixels(b.data![0]!.b64_json!));
    expect(a.usage).toMatchObject({ output_tokens: 37, input_tokens_details: { image_tokens: 0 } });
    expect(a.usage!.input_tokens).toBeGreaterThan(5);
    const types: string[] = [];
    const streaming = { ...request, stream: true as const, partial_images: 2 };
    for await (const event of await client.images.generate(streaming)) types.push(event.type);
    expect(types.at(-1)).toBe("image_generation.completed");
    expect(types.slice(0, -1)).toEqual(types.slice(0, -1).map(() => "image_generation.partial_image"));
    expect(types.length).toBeGreaterThan(1);
  });

  test("edits an image, as a stream and with a mask too", async () => {
    const image = await toFile(rocket, "rocket.png", { type: "image/png" });
    const request = { model: MODEL, image, prompt: "make it blue", n: 1, num_inference_steps: 2 } as const;
    const { data, usage } = await client.images.edit({ ...request, mask: await toFile(await holed(), "mask.png") });
    expect(await sizeOf(data![0]!.b64_json!)).toEqual([96, 96]);
    expect(usage).toMatchObject({ output_tokens: 37, input_tokens_details: { image_tokens: 36 } });
    const types = [];
    for await (const event of await client.images.edit({ ...request, stream: true, partial_images: 1 }))
      types.push(event.type);
    expect(types).toEqual(["image_edit.partial_image", "image_edit.completed"]);
  });

  test("embeds an image: in base64, which the client asks for by itself, the numbers are those of float", async () => {
    const request = { model: MODEL, input: rocketUrl };
    const { data, usage } = await client.embeddings.create(request);
    const coded = data[0]!.embedding;
    expect(usage).toEqual({ prompt_tokens: 36, total_tokens: 36 });
    const plain = (await client.embeddings.create({ ...request, encoding_format: "float" })).data[0]!.embedding;
    expect(coded.length).toBeGreaterThan(8);
    expect(coded.map(Math.fround)).toEqual(plain.map(Math.fround));
  });

  test("errors are the client's classes: key, model, field", async () => {
    const wrong = new Client({ baseURL, apiKey: "wrong", maxRetries: 0 });
    const messages = user("Hi");
    await expect(wrong.models.list()).rejects.toMatchObject({ status: 401, code: "invalid_api_key" });
    await expect(client.chat.completions.create({ model: "gpt-9", messages })).rejects.toMatchObject({
      status: 404,
      code: "model_not_found",
      param: "model",
    });
    const hot = client.chat.completions.create({ model: MODEL, messages, temperature: 1000 });
    await expect(hot).rejects.toMatchObject({ status: 400, param: "temperature" });
  });
});

test("our provider tells of a wrong key, and does not try again", async () => {
  let asked = 0;
  const counted: typeof fetch = (...args) => {
    asked++;
    return fetch(...args);
  };
  const provider = createKelix({ baseURL, apiKey: "wrong", fetch: counted });
  const refused = { name: "AI_APICallError", statusCode: 401, isRetryable: false, data: { code: "invalid_api_key" } };
  await expect(generateText({ model: provider(MODEL), prompt: "Hi" })).rejects.toMatchObject(refused);
  await expect(generateImage({ model: provider.image(MODEL), prompt: "a star" })).rejects.toMatchObject(refused);
  expect(asked).toBe(2);
});

test("the classes of errors are those that programs catch", async () => {
  const client = new OpenAI({ baseURL, apiKey: KEY, maxRetries: 0 });
  const none = { model: "none", messages: user("Hi") };
  await expect(client.chat.completions.create(none)).rejects.toBeInstanceOf(NotFoundError);
  await expect(client.embeddings.create({ model: MODEL, input: "a text" })).rejects.toBeInstanceOf(BadRequestError);
  const wrong = new OpenAI({ baseURL, apiKey: "wrong", maxRetries: 0 });
  await expect(wrong.models.list()).rejects.toBeInstanceOf(AuthenticationError);
});

describe("a server that is in trouble", () => {
  const trouble = new ScriptedEngine();
  let client: OpenAI;
  let busy: HttpServer;
  beforeAll(async () => {
    busy = await listen({ engine: trouble, settings: httpSettings() }, { port: 0 });
    client = new OpenAI({ baseURL: `${busy.url}/v1`, apiKey: "none", maxRetries: 0 });
  });
  afterAll(() => busy.close());
  const request = { model: "toy", messages: user("Hi") };

  test("an error in a stream is thrown with its sentence, by openai in each form and as a part by ai", async () => {
    trouble.script = async function* () {
      yield { type: "text", text: "A" };
      throw new EngineError("worker_died", "The worker died");
    };
    const all = async (events: AsyncIterable<unknown>) => {
      for await (const _ of events);
    };
    for (const events of [
      await client.chat.completions.create({ ...request, stream: true }),
      await client.responses.create({ model: "toy", input: "Hi", stream: true }),
      await client.images.generate({ model: "toy", prompt: "Hi", stream: true }),
    ]) {
      const error: unknown = await all(events).catch((error) => error);
      expect(error).toBeInstanceOf(APIError);
      expect(error).toMatchObject({ message: "The worker died", code: "worker_died" });
    }
    const compatible = createOpenAICompatible({ name: "kelix", baseURL: `${busy.url}/v1` });
    const openai = createOpenAI({ baseURL: `${busy.url}/v1`, apiKey: "none" });
    for (const model of [compatible("toy"), openai("toy")]) {
      const parts = [];
      const { fullStream } = streamText({ model, prompt: "Hi", maxRetries: 0, onError: () => undefined });
      for await (const part of fullStream) parts.push(part);
      const failure = parts.find(({ type }) => type === "error");
      expect(String((failure as { error: { message?: string } }).error.message)).toContain("worker died");
    }
  });

  test("a full queue is a 429, which the client tries again after Retry-After", async () => {
    let calls = 0;
    trouble.script = async function* () {
      if (++calls < 3) throw new EngineError("queue_full", "The queue is full", 1);
      yield { type: "text", text: "at last" };
      yield end;
    };
    const patient = new OpenAI({ baseURL: `${busy.url}/v1`, apiKey: "none", maxRetries: 2 });
    const began = performance.now();
    expect((await patient.chat.completions.create(request)).choices[0]!.message.content).toBe("at last");
    expect(performance.now() - began).toBeGreaterThan(1900);
    calls = 0;
    await expect(client.chat.completions.create(request)).rejects.toMatchObject({ status: 429, code: "queue_full" });
  });

  test("a client that leaves is noticed: in the middle of a stream, and while it waits", async () => {
    for (const stream of [true, false]) {
      let written = 0;
      const aborted = new Promise<void>((resolve) => {
        trouble.script = async function* (_, { signal }) {
          signal!.addEventListener("abort", () => resolve(), { once: true });
          while (!signal!.aborted) {
            yield { type: "text", text: `${written++} ` };
            await new Promise((resolve) => setTimeout(resolve, 5));
          }
        };
      });
      const controller = new AbortController();
      const { signal } = controller;
      if (stream) {
        const events = await client.chat.completions.create({ ...request, stream }, { signal });
        for await (const _ of events) if (written > 2) break;
      } else {
        const answer = client.chat.completions.create(request, { signal });
        setTimeout(() => controller.abort(), 50);
        await expect(answer).rejects.toThrow("aborted");
      }
      await aborted;
    }
  });
});

describe("ai 6", () => {
  const image = [
    { type: "image" as const, image: rocket },
    { type: "text" as const, text: "What is this?" },
  ];

  test("openai-compatible: text, stream, an image in, cached tokens, the fields of providerOptions", async () => {
    const kelix = createOpenAICompatible({ name: "kelix", baseURL, apiKey: KEY, includeUsage: true });
    const messages = [{ role: "user" as const, content: image }];
    const model = kelix(MODEL);
    await generateText({ model, messages, temperature: 0 });
    const { text, usage, finishReason } = await generateText({ model, messages, temperature: 0 });
    expect(text).toContain("rocket");
    expect(finishReason).toBe("stop");
    expect(usage.inputTokenDetails?.cacheReadTokens ?? usage.cachedInputTokens).toBeGreaterThan(36);
    const stream = streamText({ model, messages, temperature: 0 });
    expect(await stream.text).toBe(text);
    expect((await stream.usage).outputTokens).toBeGreaterThan(0);
    const bad = generateText({ model, prompt: "Hi", providerOptions: { kelix: { top_k: -1 } }, maxRetries: 0 });
    await expect(bad).rejects.toThrow("top_k");
  });

  test("openai-compatible: images, whose seed goes through providerOptions", async () => {
    const kelix = createOpenAICompatible({ name: "kelix", baseURL, apiKey: KEY });
    const draw = () =>
      generateImage({
        model: kelix.imageModel(MODEL),
        prompt: "two red circles",
        providerOptions: { kelix: { seed: 3, num_inference_steps: 2 } },
      });
    const [a, b] = [await draw(), await draw()];
    const pixels = async ({ image }: typeof a) => (await decodeImage(image.uint8Array)).data;
    expect(await pixels(a)).toEqual(await pixels(b));
  });

  test("openai: its default route is responses", async () => {
    const openai = createOpenAI({ baseURL, apiKey: KEY });
    const messages = [{ role: "user" as const, content: image }];
    const { text } = await generateText({ model: openai(MODEL), messages, temperature: 0 });
    expect(text).toContain("rocket");
    const stream = streamText({ model: openai(MODEL), messages, temperature: 0 });
    expect(await stream.text).toBe(text);
    expect(await stream.finishReason).toBe("stop");
    const chat = await generateText({ model: openai.chat(MODEL), messages, temperature: 0 });
    expect(chat.text).toBe(text);
    const drawn = await generateText({
      model: openai(MODEL),
      prompt: "Draw two red circles.",
      temperature: 0,
      tools: { image_generation: openai.tools.imageGeneration({}) as unknown as Tool },
    });
    const [result] = drawn.toolResults;
    expect(await sizeOf((result as { output: { result: string } }).output.result)).toEqual([96, 96]);
  });
});

/** A mask as OpenAI describes it: white all over, and transparent where to rewrite. */
async function holed(): Promise<Buffer> {
  const { default: sharp } = await import("sharp");
  const pixels = Buffer.alloc(96 * 96 * 4, 255);
  for (let i = 0; i < 96 * 48; i++) pixels[4 * i + 3] = 0;
  return sharp(pixels, { raw: { width: 96, height: 96, channels: 4 } })
    .png()
    .toBuffer();
}
