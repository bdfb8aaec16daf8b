// The provider with the AI SDK itself: in this process, and behind a small server that answers as `kelix serve` does.

import { mkdtemp, readFile, rm } from "node:fs/promises";
import { createServer, type Server } from "node:http";
import type { AddressInfo } from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { APICallError, cosineSimilarity, embed, embedMany, generateImage, generateText, streamText } from "ai";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { writeTinyModel } from "../../test/tiny-model.ts";
import { Kelix, readReceipt } from "../index.ts";
import { createKelix, type KelixProvider } from "./index.ts";

let folder: string;
let kelix: Kelix;
let local: KelixProvider;
const rocket = await readFile("data/heldout/demo/rocket.png");
beforeAll(async () => {
  folder = await writeTinyModel(await mkdtemp(join(tmpdir(), "kelix-ai-sdk-")));
  kelix = await Kelix.load(folder, { threads: 1 });
  local = createKelix({ kelix });
});
afterAll(async () => {
  await kelix?.dispose();
  await rm(folder, { recursive: true, force: true });
});

const question = [
  {
    role: "user" as const,
    content: [
      { type: "image" as const, image: rocket },
      { type: "text" as const, text: "What is this?" },
    ],
  },
];
const quick = { kelix: { steps: 1 } };

describe("in process", () => {
  test("generateText gives text, files and usage; streamText the same in pieces", async () => {
    await using nano = await Kelix.load("kelix-nano", { threads: 1 });
    const model = createKelix({ kelix: Promise.resolve(nano) })();
    const asked = { model, prompt: "Draw a red circle.", seed: 1, providerOptions: quick };
    const whole = await generateText(asked);
    expect(whole.files.map(({ mediaType }) => mediaType)).toEqual(["image/png"]);
    expect((await readReceipt(whole.files[0]!.uint8Array))?.request).toMatchObject({ call: "chat", index: 0 });
    expect(whole.usage).toMatchObject({ inputTokenDetails: { cacheReadTokens: 0 } });
    const stream = streamText(asked);
    let [text, files] = ["", 0];
    for await (const part of stream.fullStream) {
      if (part.type === "text-delta") text += part.text;
      if (part.type === "file") files++;
    }
    expect([text, files, await stream.finishReason]).toEqual([whole.text, 1, "stop"]);
    const { inputTokens, outputTokens, inputTokenDetails } = await stream.usage;
    expect([inputTokens, outputTokens]).toEqual([whole.usage.inputTokens, whole.usage.outputTokens]);
    expect(inputTokenDetails.cacheReadTokens).toBe(inputTokens);
    const plain = await generateText({ ...asked, providerOptions: { kelix: { images: false } } });
    expect(plain.files).toEqual([]);
    // Sent back, the image is read by its codes: all of the first turn is cached.
    const next = [...whole.response.messages, { role: "user" as const, content: "What is this?" }];
    const messages = [{ role: "user" as const, content: asked.prompt }, ...next];
    const { usage } = await generateText({ model, messages, providerOptions: { kelix: { images: false } } });
    const { inputTokens: first = 0, outputTokens: written = 0 } = whole.usage;
    expect(written).toBeGreaterThan(36);
    expect(usage.inputTokenDetails.cacheReadTokens).toBeGreaterThanOrEqual(first + written - 1);
  });

  test("warns of what it cannot do, and refuses what is no image", async () => {
    const { warnings } = await generateText({ model: local(), prompt: "Hi", maxOutputTokens: 1, presencePenalty: 1 });
    expect(warnings).toEqual([{ type: "unsupported", feature: "presencePenalty" }]);
    const pdf = { type: "file" as const, mediaType: "application/pdf", data: new Uint8Array([1]) };
    const asked = generateText({ model: local(), messages: [{ role: "user", content: [pdf] }] });
    await expect(asked).rejects.toThrow("a file is application/pdf; the model reads images");
  });

  test("generateImage takes a seed, a number, an image to edit, and the model's own size alone", async () => {
    const options = { model: local.image(), providerOptions: quick };
    const { images, providerMetadata, usage } = await generateImage({ ...options, prompt: "a star", n: 2, seed: 5 });
    expect(images.map(({ mediaType }) => mediaType)).toEqual(["image/png", "image/png"]);
    expect(providerMetadata.kelix?.images).toMatchObject([{ seed: 5, codes: { grid: [6, 6] } }, { seed: 6 }]);
    expect(usage.outputTokens).toBe(2 * 37); // an image's positions, and the mark of its end
    expect(usage.totalTokens).toBe(usage.inputTokens! + 2 * 37);
    const again = await generateImage({ ...options, prompt: "a star", seed: 6, size: "96x96" });
    const receipts = await Promise.all([images[1]!, again.image].map(({ uint8Array }) => readReceipt(uint8Array)));
    expect(receipts[0]!.codesHash).toBe(receipts[1]!.codesHash);
    const edited = await generateImage({ ...options, prompt: { text: "make it blue", images: [rocket] }, seed: 1 });
    expect((await readReceipt(edited.image.uint8Array))?.request?.call).toBe("edit");
    const error = await generateImage({ ...options, prompt: "a star", size: "1024x1024" }).catch((error) => error);
    expect(APICallError.isInstance(error)).toBe(true);
    expect(error).toMatchObject({ statusCode: 400, isRetryable: false });
    expect(error.message).toContain('"96x96"');
  });

  test("embed takes images as data: URLs", async () => {
    const value = `data:image/png;base64,${rocket.toString("base64")}`;
    const { embedding, usage } = await embed({ model: local.embedding(), value });
    expect(usage.tokens).toBe(36);
    expect(embedding).toEqual([...(await kelix.embed(rocket))]);
    const { embeddings } = await embedMany({ model: local.embedding(), values: [value, value] });
    expect(cosineSimilarity(embeddings[0]!, embeddings[1]!)).toBeCloseTo(1);
    await expect(embed({ model: local.embedding(), value: "a rocket" })).rejects.toThrow("data: URL");
  });

  test("an abort ends the work, and a model that was disposed of says so", async () => {
    const abort = new AbortController();
    const { fullStream } = streamText({
      model: local(),
      messages: question,
      temperature: 1,
      maxOutputTokens: 200,
      abortSignal: abort.signal,
    });
    const types: string[] = [];
    for await (const { type } of fullStream) {
      types.push(type);
      abort.abort();
    }
    expect(types).toContain("abort");
    expect(types).not.toContain("finish");
    const gone = await Kelix.load(folder, { threads: 1 });
    await gone.dispose();
    const asked = generateText({ model: createKelix({ kelix: gone })(), prompt: "Hi", maxRetries: 0 });
    await expect(asked).rejects.toMatchObject({ statusCode: 500, message: expect.stringContaining("disposed") });
  });
});

describe("behind a server", () => {
  let server: Server;
  let provider: KelixProvider;
  const seen: { url: string | undefined; key: string | undefined; body: string }[] = [];
  /** What the server answers next: a status, and a body. */
  let answers: [status: number, body: string, headers?: Record<string, string>][] = [];
  beforeAll(async () => {
    server = createServer(async (request, response) => {
      let body = "";
      for await (const piece of request) body += piece;
      seen.push({ url: request.url, key: request.headers.authorization, body });
      const [status, text, headers = {}] = answers.shift()!;
      response.writeHead(status, headers).end(text);
    });
    await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve));
    const { port } = server.address() as AddressInfo;
    provider = createKelix({ baseURL: `http://127.0.0.1:${port}/v1/`, apiKey: "secret" });
  });
  afterAll(() => server.close());

  const events = (...data: unknown[]) => data.map((one) => `data: ${JSON.stringify(one)}\n\n`).join("");
  const delta = (delta: object, finish_reason: string | null = null) => ({
    choices: [{ index: 0, delta, finish_reason }],
  });
  const usage = { prompt_tokens: 50, completion_tokens: 3, prompt_tokens_details: { cached_tokens: 40 } };

  test("sends a conversation as OpenAI's clients do, and reads text, images and usage", async () => {
    const codes = { grid: [1, 1], codes: [1, 2] };
    const image = { image_url: { url: "data:image/png;base64,AAAA" }, seed: 7, codes };
    const stream =
      events(delta({ role: "assistant", content: "" }), delta({ content: "ä" }), delta({ images: [image] })) +
      `${events(delta({}, "length"), { choices: [], usage })}data: [DONE]\n\n`;
    answers = [[200, stream]];
    const result = await generateText({ model: provider("tiny"), messages: question, seed: 3, temperature: 0.5 });
    expect(result).toMatchObject({ text: "ä", finishReason: "length" });
    expect(result.files[0]!.base64).toBe("AAAA");
    expect(result.usage).toMatchObject({
      inputTokens: 50,
      outputTokens: 3,
      inputTokenDetails: { cacheReadTokens: 40 },
    });
    const { url, key, body } = seen.at(-1)!;
    expect([url, key]).toEqual(["/v1/chat/completions", "Bearer secret"]);
    expect(JSON.parse(body)).toMatchObject({
      model: "tiny",
      modalities: ["text", "image"],
      seed: 3,
      temperature: 0.5,
      stream: true,
      messages: [{ role: "user", content: [{ type: "image_url" }, { type: "text", text: "What is this?" }] }],
    });
    answers = [[200, stream]];
    const messages = [...question, ...result.response.messages, { role: "user" as const, content: "And now?" }];
    await generateText({ model: provider("tiny"), messages });
    const [, { content }] = JSON.parse(seen.at(-1)!.body).messages;
    expect(content.at(-1)).toEqual({ type: "image_url", image_url: image.image_url, codes });
  });

  test("refusals have their status, their sentence, and whether another try may help", async () => {
    const refusal = (message: string, type: string) =>
      JSON.stringify({ error: { message, type, param: null, code: null } });
    answers = [[400, refusal("no such thing", "invalid_request_error")]];
    const asked = () => generateText({ model: provider(), prompt: "Hi", maxRetries: 0 });
    await expect(asked()).rejects.toMatchObject({ message: "no such thing", statusCode: 400, isRetryable: false });
    answers = [[429, refusal("full", "rate_limit_error"), { "retry-after": "2" }]];
    const full = await asked().catch((error) => error);
    expect(full).toMatchObject({ message: "full", statusCode: 429, isRetryable: true });
    expect(full.responseHeaders["retry-after"]).toBe("2");
    answers = [[200, events(delta({ content: "a" }), JSON.parse(refusal("it died", "server_error")))]];
    await expect(asked()).rejects.toMatchObject({ message: "it died", statusCode: 500, isRetryable: true });
    answers = [[200, events(delta({ content: "a" }))]];
    await expect(asked()).rejects.toThrow("ended before its end");
    answers = [[200, events({ hello: 1 })]];
    await expect(asked()).rejects.toThrow("not the form");
    answers = [[200, "data: {\n\n"]];
    await expect(asked()).rejects.toThrow("was cut");
  });

  test("an error in the middle of a stream is an error part", async () => {
    answers = [[200, events(delta({ content: "a" }), { error: { message: "it died", type: "server_error" } })]];
    const types: string[] = [];
    const { fullStream } = streamText({ model: provider(), prompt: "Hi", onError: () => {} });
    for await (const { type } of fullStream) types.push(type);
    expect(types).toContain("text-delta");
    expect(types).toContain("error");
  });

  test("draws, edits as a form, and embeds", async () => {
    const usage = { input_tokens: 5, output_tokens: 36, total_tokens: 41 };
    answers = [[200, JSON.stringify({ data: [{ b64_json: "AAAA", seed: 9 }], usage })]];
    const drawn = await generateImage({
      model: provider.image("tiny"),
      prompt: "a star",
      seed: 9,
      providerOptions: quick,
    });
    expect([drawn.image.base64, drawn.providerMetadata.kelix?.images]).toEqual(["AAAA", [{ seed: 9 }]]);
    expect(drawn.usage).toEqual({ inputTokens: 5, outputTokens: 36, totalTokens: 41 });
    expect(JSON.parse(seen.at(-1)!.body)).toEqual({
      model: "tiny",
      prompt: "a star",
      n: 1,
      seed: 9,
      num_inference_steps: 1,
    });
    answers = [[200, JSON.stringify({ data: [{ b64_json: "AAAA" }] })]];
    await generateImage({ model: provider.image(), prompt: { text: "blue", images: [rocket], mask: rocket } });
    expect(seen.at(-1)!.url).toBe("/v1/images/edits");
    expect(seen.at(-1)!.body).toMatch(/name="image"; filename[\s\S]*name="mask"; filename/);
    answers = [[200, JSON.stringify({ data: [{ embedding: [1, 2] }], usage: { prompt_tokens: 36 } })]];
    const embedded = await embed({ model: provider.embedding(), value: "data:image/png;base64,AAAA" });
    expect([embedded.embedding, embedded.usage.tokens]).toEqual([[1, 2], 36]);
  });

  test("a server that is not there is worth another try", async () => {
    const nowhere = createKelix({ baseURL: "http://127.0.0.1:1/v1" });
    const asked = generateText({ model: nowhere(), prompt: "Hi", maxRetries: 0 });
    await expect(asked).rejects.toMatchObject({ isRetryable: true, message: expect.stringContaining("kelix serve") });
  });
});
