// What clients send to a server: bodies of every route, from bytes to the engine's requests, without a socket.

import { readFile } from "node:fs/promises";
import { InputError } from "../../../src/errors.ts";
import { toApiError } from "../../../src/server/http/api-error.ts";
import { createApp } from "../../../src/server/http/app.ts";
import { readForm, readJson } from "../../../src/server/http/body.ts";
import { chatRequests, readChatBody } from "../../../src/server/http/chat-request.ts";
import type { Body } from "../../../src/server/http/fields.ts";
import {
  checkDrawing,
  editRequests,
  formBody,
  generationRequests,
  readImageBody,
} from "../../../src/server/http/image-request.ts";
import { readNpy, writeNpy } from "../../../src/server/http/npy.ts";
import { isPublicAddress } from "../../../src/server/http/public-address.ts";
import { readResponsesBody, responsesRequests } from "../../../src/server/http/responses-request.ts";
import { findModel, type HttpContext } from "../../../src/server/http/service.ts";
import type { EngineEvent, EngineRequest } from "../../../src/server/protocol.ts";
import { ImageCodes } from "../../../src/vision/image-codes.ts";
import { httpSettings } from "../../http-app.ts";
import { end, ScriptedEngine } from "../../scripted-engine.ts";
import { checkMessage, json, same, type Target, utf8 } from "../target.ts";

const pixel = "iVBORw0KGgoAAAANSUhEUgAAAAEAAAABCAYAAAAfFcSJAAAADUlEQVR42mNk+M9QDwADhgGAWjR9awAAAABJRU5ErkJggg==";
const url = `data:image/png;base64,${pixel}`;
const png = new Uint8Array(Buffer.from(pixel, "base64"));
const codes = new ImageCodes({ grid: [1, 2], codes: Uint16Array.from([1, 2, 3, 255]) });

/** Answers every request with the events that a model would, and forgets it. */
class Forgetful extends ScriptedEngine {
  override async *run(request: EngineRequest): AsyncGenerator<EngineEvent, void, void> {
    const { kind } = request;
    const image = { type: "image", png, width: 1, height: 1, seed: 1, codes, isAlone: true } as const;
    if (kind === "tokenize") yield { type: "codes", codes };
    else if (kind === "embed") yield { type: "vector", vector: new Float32Array(3) };
    else if (kind === "chat") yield { type: "text", text: "Hello" };
    else yield image;
    yield end;
  }
}

const settings = httpSettings();
const { limits } = settings;
const service = { engine: new Forgetful(), settings };

/** What reads a body asks a context for nothing else. */
function contextOf(type: string, body: Buffer): HttpContext {
  const signal = new AbortController().signal;
  const req = { header: (name: string) => (name === "content-type" ? type : undefined), raw: { signal } };
  return { req, get: (name: string) => (name === "body" ? body : undefined), set: () => undefined } as never;
}

/** Bytes of a type and what becomes of them, up to the engine. A status below 500 is a rejection. */
function reader(
  name: string,
  type: string,
  seeds: readonly Uint8Array[],
  read: (c: HttpContext) => Promise<unknown>,
): Target {
  return {
    name,
    kind: "memory",
    seeds: async () => seeds,
    run: (bytes) =>
      read(contextOf(type, Buffer.from(bytes))).catch((error) => {
        const { status, message } = toApiError(error);
        if (status >= 500) throw error;
        checkMessage(message);
        throw new InputError(message);
      }),
  };
}

function jsonReader(name: string, seeds: readonly unknown[], read: (body: Body, c: HttpContext) => unknown): Target {
  return reader(name, "application/json", seeds.map(json), async (c) => read(await readJson(c, limits), c));
}

let app: ReturnType<typeof createApp> | undefined;

/** A whole request: its path and type in the first line, then the body. */
async function ask(request: Uint8Array): Promise<void> {
  app ??= createApp(service);
  const at = request.indexOf(10);
  const [path = "", ...type] = new TextDecoder().decode(request.subarray(0, Math.max(0, at))).split(" ");
  const address = `http://localhost/${path}`;
  if (!URL.canParse(address)) return;
  const headers = { "content-type": type.join(" ").replace(/[^\x20-\x7e]/g, "") };
  const body = Uint8Array.from(request.subarray(at + 1));
  const response = await app.request(address, { method: "POST", headers, body });
  const text = await response.text();
  if (response.status < 300) return;
  const { message } = JSON.parse(text).error;
  if (response.status >= 500) throw new Error(`status ${response.status}: ${message}`);
  checkMessage(message);
  throw new InputError(message);
}

const messages = [
  { role: "system", content: "Be brief." },
  {
    role: "user",
    content: [
      { type: "text", text: "What?" },
      { type: "image_url", image_url: { url } },
      { type: "image_url", codes },
    ],
  },
  { role: "assistant", content: null, images: [{ type: "image_url", image_url: url }] },
];
const sampling = { temperature: 0.5, top_p: 0.9, top_k: 20, seed: 7 };
const drawing = { num_inference_steps: 4, guidance_scale: 2.5 };

const BOUNDARY = "kelix-form";

/** A form, its fields in order; bytes are files. */
function form(fields: Readonly<Record<string, string | Uint8Array>>): Uint8Array {
  const parts = Object.entries(fields).flatMap(([name, value]) => {
    const isFile = typeof value !== "string";
    const file = isFile ? `; filename="${name}.png"\r\nContent-Type: image/png` : "";
    const head = `--${BOUNDARY}\r\nContent-Disposition: form-data; name="${name}"${file}\r\n\r\n`;
    return [utf8(head), isFile ? value : utf8(value), utf8("\r\n")];
  });
  return new Uint8Array(Buffer.concat([...parts, utf8(`--${BOUNDARY}--\r\n`)]));
}

const chats = [
  { model: "toy", messages: [{ role: "user", content: "Hi" }], ...sampling, max_tokens: 5, stop: ["x"], n: 2 },
  { messages, modalities: ["text", "image"], ...drawing, logprobs: true, top_logprobs: 2, tools: [] },
  { messages: [{ role: "user", content: "Hi" }], stream: true, stream_options: { include_usage: true } },
];
const responses = [
  { input: "Hi", instructions: "Be brief.", ...sampling, max_output_tokens: 5, text: { format: { type: "text" } } },
  {
    input: [
      {
        role: "user",
        content: [
          { type: "input_text", text: "What?" },
          { type: "input_image", image_url: url },
        ],
      },
      { type: "image_generation_call", result: pixel },
      { type: "message", role: "assistant", content: "A cat." },
    ],
    tools: [{ type: "image_generation", partial_images: 1 }],
    stream: true,
  },
];
const images = [
  { prompt: "a cat", n: 2, size: "96x96", ...sampling, ...drawing },
  { prompt: "a cat", stream: true, partial_images: 2, response_format: "b64_json" },
];
const edits = [
  form({ image: png, prompt: "a cat", n: "2", size: "auto", seed: "7", guidance_scale: "2.5" }),
  form({ prompt: "a cat", codes: JSON.stringify(codes), stream: "true", partial_images: "1" }),
  form({ "image[]": png, prompt: "a cat", model: "toy" }),
];
const tokenizing = [
  { image: url, format: "json" },
  { image: url, format: "npy", model: "toy" },
];
const detokenizing = [{ ...codes.toJSON(), ...drawing, seed: 3, format: "png" }];
const embedding = [
  { input: url, encoding_format: "base64" },
  { input: [url, url], dimensions: 3 },
];
const FORM = `multipart/form-data; boundary=${BOUNDARY}`;

export const serverTargets: readonly Target[] = [
  jsonReader("http-chat", chats, async (body, c) => {
    const read = readChatBody(body);
    await chatRequests(service, c, findModel(service, read.model), read);
  }),
  jsonReader("http-responses", responses, async (body, c) => {
    const read = readResponsesBody(body);
    await responsesRequests(service, c, findModel(service, read.model), read);
  }),
  jsonReader("http-images", images, async (body) => {
    const read = await readImageBody(service, body);
    await checkDrawing(service, findModel(service, read.model), read.size);
    generationRequests(read);
  }),
  reader("http-edits", FORM, edits, async (c) => {
    const fields = await readForm(c, limits);
    await editRequests(service, await readImageBody(service, formBody(fields)), fields);
  }),
  {
    // The whole way through the router to an answer, with a mask that is decoded before anything is drawn.
    name: "http-request",
    kind: "open",
    async seeds() {
      const mask = await readFile("test/images/alpha.png");
      const bodies: readonly (readonly [path: string, type: string, body: Uint8Array])[] = [
        ["v1/chat/completions", "application/json", json(chats[0])],
        ["v1/chat/completions", "application/json", json(chats[2])],
        ["v1/responses", "application/json", json(responses[1])],
        ["v1/images/generations", "application/json", json(images[1])],
        ["v1/images/edits", FORM, form({ image: png, mask, prompt: "a cat" })],
        ...tokenizing.map((body) => ["v1/images/tokenize", "application/json", json(body)] as const),
        ["v1/images/tokenize?format=npy", "image/png", png],
        ["v1/images/detokenize", "application/json", json(detokenizing[0])],
        ["v1/images/detokenize?seed=3", "application/x-npy", writeNpy(codes)],
        ...embedding.map((body) => ["v1/embeddings", "application/json", json(body)] as const),
      ];
      return bodies.map(([path, type, body]) => new Uint8Array(Buffer.concat([utf8(`${path} ${type}\n`), body])));
    },
    run: ask,
  },
  {
    name: "npy",
    kind: "memory",
    seeds: async () => [
      writeNpy(codes),
      npy("'descr': '>i8', 'fortran_order': False, 'shape': (1, 2, 2), ", 32, 2),
      npy("'descr': '|u1', 'fortran_order': False, 'shape': (2, 1, 3), ", 6, 1),
    ],
    run(bytes) {
      const found = ImageCodes.from(readNpy(Buffer.from(bytes)));
      same(ImageCodes.from(readNpy(writeNpy(found))), found, "what is written and read again");
    },
  },
  {
    name: "public-address",
    kind: "memory",
    seeds: async () => ["10.0.0.1", "93.184.216.34", "::ffff:127.0.0.1", "fe80::1%eth0", "2001:db8::7"].map(utf8),
    run(bytes) {
      const address = new TextDecoder().decode(bytes);
      if (/^(10|127)\.\d{1,3}\.\d{1,3}\.\d{1,3}$/.test(address) && isPublicAddress(address))
        throw new Error("an address of this machine or its network passes");
      isPublicAddress(address);
    },
  },
];

/** A .npy file of a header and zeros. */
function npy(header: string, bytes: number, version: number): Uint8Array {
  const text = `{${header}}\n`;
  const length = version === 1 ? [text.length, 0] : [text.length, 0, 0, 0];
  return Uint8Array.from([0x93, ...utf8("NUMPY"), version, 0, ...length, ...utf8(text), ...new Array(bytes).fill(0)]);
}
