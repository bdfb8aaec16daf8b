// Programs that people have, against a running server: OpenAI's client, and Vercel's AI SDK with two of its providers. An older version
// of OpenAI's client is tried in test/long/openai-5.test.ts.

import { createOpenAI } from "@ai-sdk/openai";
import { createOpenAICompatible } from "@ai-sdk/openai-compatible";
import { generateImage, generateText, streamText, type Tool } from "ai";
import OpenAI, { APIError, AuthenticationError, BadRequestError, NotFoundError } from "openai";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { createKelix } from "../src/ai-sdk/index.ts";
import { decodeImage } from "../src/image/codec.node.ts";
import { openEngine } from "../src/server/engine/engine.ts";
import { type HttpServer, listen } from "../src/server/http/listen.ts";
import { type Engine, EngineError } from "../src/server/protocol.ts";
import { httpSettings } from "./http-app.ts";
import { describeOpenAI, MODEL, rocket, sizeOf, user } from "./openai-client.ts";
import { end, ScriptedEngine } from "./scripted-engine.ts";

const KEY = "secret-key";

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

describeOpenAI("6", OpenAI, () => ({ baseURL, apiKey: KEY }));

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
