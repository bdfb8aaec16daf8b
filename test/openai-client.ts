// What OpenAI's client asks of a server with kelix-nano, in whatever version of the client.

import { readFile } from "node:fs/promises";
import type OpenAI from "openai";
import { toFile } from "openai";
import sharp from "sharp";
import { beforeAll, describe, expect, test } from "vitest";
import { decodeImage } from "../src/image/codec.node.ts";

export const MODEL = "kelix-nano";
export const user = (content: string) => [{ role: "user" as const, content }];
/** Draws fast: an extension that OpenAI's types do not know. */
const few = { temperature: 0, num_inference_steps: 2 };
export const rocket = await readFile(new URL("../data/heldout/demo/rocket.png", import.meta.url));
const rocketUrl = `data:image/png;base64,${rocket.toString("base64")}`;

interface DrawnPart {
  readonly image_url: { readonly url: string };
  readonly codes: { readonly grid: number[]; readonly codes: number[] };
}

/** Width and height of an image, which must be one. */
export async function sizeOf(base64: string): Promise<number[]> {
  const { width, height } = await decodeImage(Buffer.from(base64.replace(/^data:image\/png;base64,/, ""), "base64"));
  return [width, height];
}

/** Describes one version of the client against the server that `server` tells of, once it listens. */
export function describeOpenAI(
  version: string,
  Client: typeof OpenAI,
  server: () => { readonly baseURL: string; readonly apiKey: string },
): void {
  describe(`openai ${version}`, () => {
    let client: OpenAI;
    beforeAll(() => {
      client = new Client({ ...server(), maxRetries: 0 });
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
      const wrong = new Client({ ...server(), apiKey: "wrong", maxRetries: 0 });
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
}

/** A mask as OpenAI describes it: white all over, and transparent where to rewrite. */
async function holed(): Promise<Buffer> {
  const pixels = Buffer.alloc(96 * 96 * 4, 255);
  for (let i = 0; i < 96 * 48; i++) pixels[4 * i + 3] = 0;
  return sharp(pixels, { raw: { width: 96, height: 96, channels: 4 } })
    .png()
    .toBuffer();
}
