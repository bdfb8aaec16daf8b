import { expect, test } from "vitest";
import { eventsOf, httpApp } from "../../../test/http-app.ts";
import { end, gives, usage } from "../../../test/scripted-engine.ts";
import { EngineError } from "../protocol.ts";
import { publicPaths } from "./access.ts";

const CHAT = "/v1/chat/completions";
const hello = { model: "toy", messages: [{ role: "user", content: "Hi" }] };
const png = new Uint8Array([0x89, 0x50, 0x4e, 0x47, 13, 10, 26, 10]);
const url = `data:image/png;base64,${Buffer.from(png).toString("base64")}`;
const codes = { grid: [6, 6], codes: Array.from({ length: 288 }, (_, i) => i % 256) };
const drawn = {
  type: "image",
  png,
  width: 96,
  height: 96,
  seed: 7,
  codes: { grid: [6, 6], codes: Uint16Array.from(codes.codes) },
  isAlone: true,
  receipt: { seed: 7 },
} as const;

test("answers a chat whole", async () => {
  const { post, engine } = httpApp();
  const { status, json } = await post(CHAT, { ...hello, seed: 3, temperature: 0, max_tokens: 5, stop: "x" });
  expect(status).toBe(200);
  expect(json).toMatchObject({
    object: "chat.completion",
    model: "toy",
    choices: [{ index: 0, message: { role: "assistant", content: "Hello there" }, finish_reason: "stop" }],
    usage: { prompt_tokens: 12, completion_tokens: 3, total_tokens: 15, prompt_tokens_details: { cached_tokens: 5 } },
  });
  expect(engine.requests).toEqual([
    {
      kind: "chat",
      messages: [{ role: "user", content: "Hi" }],
      mayDraw: false,
      options: { seed: 3, temperature: 0, maxNewTokens: 5, stop: ["x"] },
    },
  ]);
});

test("streams a chat in OpenAI's chunks, with usage last where it is asked for", async () => {
  const { post } = httpApp({}, gives({ type: "text", text: "A" }, drawn, end));
  const body = { ...hello, stream: true, stream_options: { include_usage: true }, modalities: ["text", "image"] };
  const { text, headers } = await post(CHAT, body);
  expect(headers.get("content-type")).toContain("text/event-stream");
  expect(text.endsWith("data: [DONE]\n\n")).toBe(true);
  const chunks = eventsOf(text);
  expect(chunks.map(({ choices }) => choices[0]?.delta)).toEqual([
    { role: "assistant", content: "" },
    { content: "A" },
    { images: [{ type: "image_url", index: 0, image_url: { url }, seed: 7, codes, receipt: { seed: 7 } }] },
    {},
    undefined,
  ]);
  expect(chunks.at(-2).choices[0].finish_reason).toBe("stop");
  expect(chunks.at(-1).usage.total_tokens).toBe(15);
});

test("n answers have n seeds, and what one of them fails with ends all", async () => {
  const { post, engine } = httpApp();
  const { json } = await post(CHAT, { ...hello, n: 3, seed: 10 });
  expect(json.choices.map(({ index }: { index: number }) => index)).toEqual([0, 1, 2]);
  expect(engine.requests.map((request) => "options" in request && request.options.seed)).toEqual([10, 11, 12]);
  expect(json.usage.completion_tokens).toBe(9);
  engine.script = async function* (request) {
    if ("options" in request && request.options.seed === 1) throw new EngineError("queue_full", "The queue is full", 7);
    yield { type: "text", text: "A" };
    await new Promise((resolve) => setTimeout(resolve, 20));
    yield end;
  };
  const failed = await post(CHAT, { ...hello, n: 2, seed: 0 });
  expect([failed.status, failed.headers.get("retry-after")]).toEqual([429, "7"]);
  expect(engine.options.at(-1)!.signal!.aborted).toBe(true);
});

test("an error after the first event is an event; the words of what nobody foresaw stay inside", async () => {
  const { post } = httpApp({}, async function* () {
    yield { type: "text", text: "A" };
    throw new TypeError("ORT at 0x7ffe failed");
  });
  const { status, text } = await post(CHAT, { ...hello, stream: true });
  expect(status).toBe(200);
  expect(text).not.toContain("0x7ffe");
  const { error } = eventsOf(text).at(-1);
  expect(error).toEqual({ message: expect.any(String), type: "server_error", param: null, code: "internal" });
});

test.each([
  ["queue_full", 429, "rate_limit_error"],
  ["draining", 503, "server_error"],
  ["deadline_exceeded", 504, "timeout_error"],
  ["worker_died", 500, "server_error"],
] as const)("an engine that says %s is a %i", async (code, status, type) => {
  const script = async function* () {
    throw new EngineError(code, "Sorry");
    // biome-ignore lint/correctness/noUnreachable: makes it a generator of events
    yield end;
  };
  const { post } = httpApp({}, script);
  for (const stream of [false, true]) {
    const answer = await post(CHAT, { ...hello, stream });
    expect(answer.status).toBe(status);
    expect(answer.json).toEqual({ error: { message: "Sorry", type, param: null, code } });
    expect(answer.headers.has("retry-after")).toBe(status === 429 || status === 503);
  }
});

test.each([
  [{ temperature: 1e30 }, "temperature"],
  [{ temperature: "warm" }, "temperature"],
  [{ top_k: -5 }, "top_k"],
  [{ seed: 2 ** 80 }, "seed"],
  [{ n: 1e9 }, "n"],
  [{ n: 11 }, "n"],
  [{ stop: [""] }, "stop[0]"],
  [{ max_tokens: 0 }, "max_tokens"],
  [{ top_logprobs: 2 }, "top_logprobs"],
  [{ logprobs: true, top_logprobs: 21 }, "top_logprobs"],
  [{ stream_options: { include_usage: true } }, "stream_options"],
  [{ modalities: ["audio"] }, "modalities[0]"],
  [{ messages: [] }, "messages"],
  [{ messages: "Hi" }, "messages"],
  [{ messages: [{ role: "tool", content: "x" }] }, "messages[0].role"],
  [{ messages: [{ role: "user", content: [{ type: "input_audio" }] }] }, "messages[0].content[0].type"],
  [
    { messages: [{ role: "user", content: [{ type: "image_url", image_url: { url: 5 } }] }] },
    "messages[0].content[0].image_url.url",
  ],
  [{ tools: [{ type: "function" }] }, "tools"],
  [{ tool_choice: "required" }, "tool_choice"],
  [{ response_format: { type: "json_object" } }, "response_format"],
  [{ negative_prompt: "red" }, "negative_prompt"],
  [{ logit_bias: { 5: 1 } }, "logit_bias"],
  [{ frequency_penalty: 1 }, "frequency_penalty"],
])("rejects %j and names the field", async (fields, param) => {
  const { post, engine } = httpApp();
  const { status, json } = await post(CHAT, { ...hello, ...fields });
  expect([status, json.error.param, json.error.type]).toEqual([400, param, "invalid_request_error"]);
  expect(engine.requests).toEqual([]);
});

test("what asks for nothing passes, and so do unknown fields", async () => {
  const { post } = httpApp();
  const nothing = { tools: [], tool_choice: "auto", response_format: { type: "text" }, logit_bias: {}, stop: null };
  const { status } = await post(CHAT, {
    ...hello,
    ...nothing,
    frequency_penalty: 0,
    unknown: { deep: [1] },
    user: "me",
  });
  expect(status).toBe(200);
});

test("images are told by their bytes, and may come back as an answer had them", async () => {
  const { post, engine } = httpApp();
  const content = [
    { type: "text", text: "What?" },
    { type: "image_url", image_url: { url, detail: "low" } },
  ];
  const images = [{ type: "image_url", image_url: { url } }];
  const messages = [
    { role: "user", content },
    { role: "assistant", content: "", images },
    { role: "user", content: "And?" },
  ];
  expect((await post(CHAT, { messages })).status).toBe(200);
  const [request] = engine.requests;
  const sent = request?.kind === "chat" ? request.messages : [];
  expect(sent[0]!.content).toEqual([
    { type: "text", text: "What?" },
    { type: "image", image: png },
  ]);
  expect(sent[1]!.content).toContainEqual({ type: "image", image: png });
  const gif = `data:image/png;base64,${Buffer.from("GIF89a..........").toString("base64")}`;
  for (const bad of [
    gif,
    "data:image/png;base64,",
    "data:text/plain,hello",
    "https://example.org/a.png",
    "file:///etc/passwd",
  ]) {
    const { status, json } = await post(CHAT, {
      messages: [{ role: "user", content: [{ type: "image_url", image_url: { url: bad } }] }],
    });
    expect([bad, status, json.error.param]).toEqual([bad, 400, "messages[0].content[0].image_url.url"]);
  }
});

test("codes stand for an image, and are read in place of its URL", async () => {
  const { post, engine } = httpApp();
  const part = { type: "image_url", codes };
  const both = { ...part, image_url: { url: "https://example.org/a.png" } };
  const messages = [
    { role: "user", content: [part] },
    { role: "assistant", content: "", images: [both] },
    { role: "user", content: "And?" },
  ];
  expect((await post(CHAT, { messages })).status).toBe(200);
  const input = [
    { role: "user", content: "Draw" },
    { type: "image_generation_call", codes, result: "AAAA" },
  ];
  expect((await post("/v1/responses", { input })).status).toBe(200);
  const images = engine.requests.flatMap((request) =>
    request.kind !== "chat"
      ? []
      : request.messages.flatMap(({ content }) =>
          typeof content === "string" ? [] : content.filter(({ type }) => type === "image"),
        ),
  );
  expect(images).toEqual([1, 2, 3].map(() => ({ type: "image", image: codes })));
  for (const [wrong, place] of [
    [{ type: "image_url" }, "image_url"],
    [{ ...part, codes: { grid: [6], codes: [1] } }, "codes.grid"],
    [{ ...part, codes: { grid: [6, 6], codes: [-1] } }, "codes.codes[0]"],
    [{ ...part, codes: 5 }, "codes"],
  ] as const) {
    const { status, json } = await post(CHAT, { messages: [{ role: "user", content: [wrong] }] });
    expect([status, json.error.param]).toEqual([400, `messages[0].content[0].${place}`]);
  }
});

test("previews of a chat's images are parts of their own, in Responses events of their own", async () => {
  const previews = [0, 1].map((index) => ({ type: "preview", index, png }) as const);
  const { post, engine } = httpApp({}, gives({ type: "text", text: "A" }, ...previews, drawn, end));
  const asked = { modalities: ["text", "image"], stream: true, partial_images: 2 };
  const chunks = eventsOf((await post(CHAT, { ...hello, ...asked })).text);
  const partial = (i: number) => ({ type: "image_url", index: 0, partial_image_index: i, image_url: { url } });
  expect(chunks.flatMap(({ choices }) => choices[0].delta.partial_images ?? [])).toEqual([partial(0), partial(1)]);
  expect(chunks.flatMap(({ choices }) => choices[0].delta.images ?? [])).toHaveLength(1);
  const tools = [{ type: "image_generation", partial_images: 2 }];
  const events = eventsOf((await post("/v1/responses", { input: "Draw", tools, stream: true })).text);
  const kinds = events.map(({ type }) => type.replace("response.", ""));
  const image = ["in_progress", "partial_image", "partial_image", "completed"];
  expect(kinds.slice(kinds.indexOf("output_item.done") + 1, -2)).toEqual([
    "output_item.added",
    ...image.map((kind) => `image_generation_call.${kind}`),
  ]);
  expect(events.find(({ partial_image_index }) => partial_image_index === 1)).toMatchObject({
    output_index: 1,
    partial_image_b64: Buffer.from(png).toString("base64"),
  });
  expect(engine.requests.map((request) => "previews" in request && request.previews)).toEqual([2, 2]);
  const { json } = await post(CHAT, { ...hello, ...asked, stream: false });
  expect(json.error.param).toBe("partial_images");
});

test("log-probabilities are OpenAI's", async () => {
  const top = [{ text: "A", bytes: [65], logprob: -0.5 }];
  const { post, engine } = httpApp({}, gives({ type: "text", text: "A", logprobs: [{ ...top[0]!, top }] }, end));
  const { json } = await post(CHAT, { ...hello, logprobs: true, top_logprobs: 1 });
  const token = { token: "A", bytes: [65], logprob: -0.5 };
  expect(json.choices[0].logprobs.content).toEqual([{ ...token, top_logprobs: [token] }]);
  expect(engine.requests[0]).toMatchObject({ topLogprobs: 1 });
});

test("bodies: broken, too deep, too long, of another kind", async () => {
  const { ask, post } = httpApp({ limits: { bodyBytes: 1000, jsonDepth: 10 } });
  const broken = ["", "{", "[]", '"a"', `{"a":"\\"}`, "\xff", `{"a":${"[".repeat(11)}${"]".repeat(11)}}`];
  for (const body of broken) expect([body, (await post(CHAT, body)).status]).toEqual([body, 400]);
  const exact = JSON.stringify({ ...hello, pad: "" });
  const padded = (to: number) => JSON.stringify({ ...hello, pad: "x".repeat(to - exact.length) });
  expect((await post(CHAT, padded(1000))).status).toBe(200);
  expect((await post(CHAT, padded(1001))).status).toBe(413);
  const stream = new ReadableStream({
    pull(controller) {
      controller.enqueue(new TextEncoder().encode("x".repeat(600)));
    },
  });
  const headers = { "content-type": "application/json" };
  const endless = await ask(CHAT, { method: "POST", headers, body: stream, duplex: "half" } as RequestInit);
  expect([endless.status, endless.json.error.type]).toEqual([413, "invalid_request_error"]);
  expect((await post(CHAT, hello, { "content-type": "text/plain" })).status).toBe(415);
  expect((await post(CHAT, hello, { "content-encoding": "gzip" })).status).toBe(415);
});

test("other paths and methods", async () => {
  const { ask, post } = httpApp();
  expect((await ask("/v2/chat")).json.error.code).toBe("not_found");
  const wrong = await ask(CHAT);
  expect([wrong.status, wrong.headers.get("allow"), wrong.json.error.code]).toEqual([
    405,
    "POST",
    "method_not_allowed",
  ]);
  const { status, json } = await post(CHAT, { ...hello, model: "gpt-9" });
  expect([status, json.error.code, json.error.param]).toEqual([404, "model_not_found", "model"]);
  expect((await ask("/v1/models/owner/name")).status).toBe(404);
  expect((await ask("/v1/models/toy")).json.id).toBe("toy");
});

test("every route of the router asks for a key, unless it is on the public list", async () => {
  const { app, ask } = httpApp({ apiKeys: ["one", "two"] });
  const paths = [...new Set(app.routes.map(({ path }) => path))].filter((path) => path !== "/*");
  expect(paths.length).toBeGreaterThan(12);
  for (const pattern of paths) {
    const path = pattern.replace(/:id\{.*\}/, "toy");
    for (const method of ["GET", "POST", "PUT", "HEAD"]) {
      for (const authorization of ["", "Bearer three", "Bearer ", "Basic one", "one"]) {
        const { status } = await ask(path, { method, headers: { authorization } });
        if (!publicPaths.has(path))
          expect([path, method, authorization, status]).toEqual([path, method, authorization, 401]);
        else expect(status).not.toBe(401);
      }
    }
  }
  expect((await ask("/nowhere")).status).toBe(401);
  for (const key of ["one", "two"]) {
    expect((await ask("/v1/models", { headers: { authorization: `Bearer ${key}` } })).status).toBe(200);
  }
});

test("the engine is told whose request it is, never the key itself", async () => {
  const { post, engine } = httpApp({ apiKeys: ["one", "two"] });
  for (const key of ["one", "two", "one"]) await post(CHAT, hello, { authorization: `Bearer ${key}` });
  const [a, b, c] = engine.options.map(({ key }) => key);
  expect(a).toBe(c);
  expect(a).not.toBe(b);
  expect(`${a}${b}`).not.toMatch(/one|two/);
});

test("on a loopback address only its names may stand in the Host header", async () => {
  const { app } = httpApp();
  const get = async (host: string) => (await app.request("/livez", { headers: { host } })).status;
  for (const host of ["localhost:8080", "127.0.0.1", "[::1]:80", "kelix.localhost", "LOCALHOST"])
    expect(await get(host)).toBe(200);
  for (const host of ["evil.org", "localhost.evil.org", "127.0.0.1.evil.org", "192.168.0.1", "0.0.0.0"])
    expect(await get(host)).toBe(403);
  const open = httpApp({ host: "0.0.0.0" });
  expect((await open.app.request("/livez", { headers: { host: "server.example" } })).status).toBe(200);
});

test("pages of other origins may not ask, unless they are named", async () => {
  const headers = { origin: "https://evil.org", host: "localhost" };
  const closed = httpApp();
  expect((await closed.ask("/livez", { headers })).status).toBe(403);
  expect((await closed.ask("/livez", { headers: { origin: "http://localhost", host: "localhost" } })).status).toBe(200);
  const open = httpApp({ corsOrigins: ["https://good.org"], apiKeys: ["k"] });
  expect((await open.ask("/livez", { headers })).headers.has("access-control-allow-origin")).toBe(false);
  const preflight = await open.ask(CHAT, {
    method: "OPTIONS",
    headers: {
      origin: "https://good.org",
      "access-control-request-method": "POST",
      "access-control-request-headers": "authorization",
    },
  });
  expect([preflight.status, preflight.headers.get("access-control-allow-origin")]).toEqual([204, "https://good.org"]);
  const denied = await open.ask("/v1/models", { headers: { origin: "https://good.org" } });
  expect([denied.status, denied.headers.get("access-control-allow-origin")]).toEqual([401, "https://good.org"]);
});

test("a request has an id, its own where it gives one", async () => {
  const { ask } = httpApp();
  expect((await ask("/livez", { headers: { "x-request-id": "abc-1" } })).headers.get("x-request-id")).toBe("abc-1");
  expect((await ask("/livez", { headers: { "x-request-id": "a b\u00e4" } })).headers.get("x-request-id")).toMatch(
    /^req_/,
  );
});

test("health, metrics and the document", async () => {
  const { ask, post, engine } = httpApp();
  await post(CHAT, hello);
  expect((await ask("/readyz")).status).toBe(200);
  expect((await ask("/metrics")).text).toContain(
    'kelix:http_requests_total{route="/v1/chat/completions",status="200"} 1',
  );
  const { json } = await ask("/openapi.json");
  const schema = json.paths[CHAT].post.requestBody.content["application/json"].schema;
  expect(schema.properties.temperature).toMatchObject({ type: "number", maximum: 100 });
  expect(schema.required).toEqual(["messages"]);
  expect(Object.keys(json.paths)).toContain("/v1/models/{id}");
  const { parameters } = json.paths[CHAT].post;
  expect(parameters).toEqual([{ $ref: "#/components/parameters/IdempotencyKey" }]);
  expect(json.components.parameters.IdempotencyKey).toMatchObject({ in: "header", name: "Idempotency-Key" });
  expect(json.paths["/v1/models"].get).not.toHaveProperty("parameters");
  engine.state = "draining";
  expect((await ask("/health")).status).toBe(503);
  expect((await ask("/livez")).status).toBe(200);
});

test("responses: the same answer whole and as events", async () => {
  const script = gives({ type: "text", text: "Here" }, drawn, { type: "text", text: "Done" }, { ...end, usage });
  const { post, engine } = httpApp({}, script);
  const body = { input: "Draw", instructions: "Be kind", tools: [{ type: "image_generation" }] };
  const { json } = await post("/v1/responses", body);
  expect(json).toMatchObject({
    object: "response",
    status: "completed",
    usage: { input_tokens: 12, output_tokens: 3 },
  });
  const kinds = json.output.map(({ type }: { type: string }) => type);
  expect(kinds).toEqual(["message", "image_generation_call", "message"]);
  expect(engine.requests[0]).toMatchObject({
    mayDraw: true,
    messages: [
      { role: "system", content: "Be kind" },
      { role: "user", content: "Draw" },
    ],
  });
  const { text } = await post("/v1/responses", { ...body, stream: true });
  const events = eventsOf(text);
  expect(events.map(({ sequence_number }) => sequence_number)).toEqual(events.map((_, i) => i));
  expect(events.at(-1).type).toBe("response.completed");
  const strip = (items: { id?: string }[]) => items.map(({ id: _, ...rest }) => rest);
  expect(strip(events.at(-1).response.output)).toEqual(strip(json.output));
  // Sent back, it is one turn.
  await post("/v1/responses", {
    input: [{ role: "user", content: "Draw" }, ...json.output, { role: "user", content: "Again" }],
  });
  const again = engine.requests.at(-1)!;
  expect(again.kind === "chat" && again.messages.map(({ role }) => role)).toEqual(["user", "assistant", "user"]);
});

test.each([
  [{ previous_response_id: "resp_1" }, "previous_response_id"],
  [{ background: true }, "background"],
  [{ tools: [{ type: "web_search" }] }, "tools"],
  [{ text: { format: { type: "json_schema" } } }, "text"],
  [{ input: [{ type: "item_reference", id: "x" }] }, "input[0].type"],
  [{ input: [{ role: "user", content: [{ type: "input_file" }] }] }, "input[0].content[0].type"],
])("responses rejects %j and names the field", async (fields, param) => {
  const { post } = httpApp();
  const { status, json } = await post("/v1/responses", { input: "Hi", ...fields });
  expect([status, json.error.param]).toEqual([400, param]);
});

test("images: whole, and streamed with what comes on the way", async () => {
  const preview = { type: "preview", index: 0, png } as const;
  const { post, engine } = httpApp({}, gives(preview, drawn, end));
  const IMAGES = "/v1/images/generations";
  const body = { prompt: "a star", n: 2, seed: 7, guidance_scale: 2, num_inference_steps: 4, size: "96x96" };
  const { json } = await post(IMAGES, body);
  const one = { b64_json: Buffer.from(png).toString("base64"), seed: 7, codes, receipt: { seed: 7 } };
  expect(json).toMatchObject({ data: [one, one], size: "96x96" });
  expect(json.usage).toEqual({
    input_tokens: 12,
    input_tokens_details: { image_tokens: 0, text_tokens: 12 },
    output_tokens: 6,
    output_tokens_details: { image_tokens: 6, text_tokens: 0 },
    total_tokens: 18,
  });
  expect(engine.requests[1]).toEqual({
    kind: "imagine",
    prompt: "a star",
    options: { seed: 8, guidance: 2, steps: 4 },
  });
  const { text } = await post(IMAGES, { prompt: "a star", stream: true, partial_images: 1 });
  expect(text).toContain("event: image_generation.partial_image\n");
  const events = eventsOf(text);
  expect(events.map(({ type }) => type)).toEqual(["image_generation.partial_image", "image_generation.completed"]);
  expect(events[0]).toMatchObject({ partial_image_index: 0, b64_json: one.b64_json });
  expect(events[1]).toMatchObject({ ...one, usage: { input_tokens: 12, output_tokens: 3, total_tokens: 15 } });
  for (const [fields, param] of [
    [{ size: "1e9x1" }, "size"],
    [{ size: "97x96" }, "size"],
    [{ response_format: "url" }, "response_format"],
    [{ background: "transparent" }, "background"],
    [{ output_format: "webp" }, "output_format"],
    [{ partial_images: 4, stream: true }, "partial_images"],
    [{ prompt: "" }, "prompt"],
    [{ negative_prompt: "red" }, "negative_prompt"],
  ] as const) {
    const bad = await post(IMAGES, { prompt: "a star", ...fields });
    expect([bad.status, bad.json.error.param]).toEqual([400, param]);
  }
});

test("without receipts none is asked for", async () => {
  const { post, engine } = httpApp({ receipts: false }, gives(drawn, end));
  await post("/v1/images/generations", { prompt: "a star", seed: 7 });
  expect(engine.requests).toEqual([{ kind: "imagine", prompt: "a star", options: { seed: 7, receipt: false } }]);
});

test("edits: forms as clients send them", async () => {
  const { ask, engine } = httpApp({}, gives({ type: "preview", index: 0, png }, drawn, end));
  const edit = (fields: Record<string, string | Blob>) => {
    const form = new FormData();
    for (const [name, value] of Object.entries(fields)) {
      if (typeof value === "string") form.append(name, value);
      else form.append(name, value, "blob");
    }
    return ask("/v1/images/edits", { method: "POST", body: form });
  };
  const image = new Blob([png]);
  const { status } = await edit({ "image[]": image, prompt: "blue", n: "2", seed: "5" });
  expect(status).toBe(200);
  expect(engine.requests).toEqual(
    [5, 6].map((seed) => ({ kind: "edit", image: png, prompt: "blue", options: { seed } })),
  );
  expect((await edit({ image, codes: JSON.stringify(codes), prompt: "blue", seed: "5" })).status).toBe(200);
  expect(engine.requests.at(-1)).toMatchObject({ kind: "edit", image: codes });
  const streamed = await edit({ image, prompt: "blue", stream: "true", partial_images: "1" });
  expect(eventsOf(streamed.text).map(({ type }) => type)).toEqual(["image_edit.partial_image", "image_edit.completed"]);
  for (const [fields, param] of [
    [{ prompt: "blue" }, "image"],
    [{ image, "image[]": image, prompt: "blue" }, "image"],
    [{ image: "text", prompt: "blue" }, "image"],
    [{ codes: "{", prompt: "blue" }, "codes"],
    [{ codes: '{"grid":[6,6],"codes":[0.5]}', prompt: "blue" }, "codes.codes[0]"],
    [{ codes: image, prompt: "blue" }, "codes"],
    [{ image: new Blob(["GIF89a"]), prompt: "blue" }, "image"],
    [{ image, prompt: "blue", n: "two" }, "n"],
    [{ image }, "prompt"],
    [{ image, mask: new Blob(["<svg/>"]), prompt: "blue" }, "mask"],
  ] as const) {
    const bad = await edit(fields as Record<string, string | Blob>);
    expect([bad.status, bad.json.error.param]).toEqual([400, param]);
  }
  const headers = { "content-type": "multipart/form-data; boundary=x" };
  for (const body of ["", "--x\r\n", "--x\r\n".repeat(100)]) {
    expect((await ask("/v1/images/edits", { method: "POST", headers, body })).status).toBe(400);
  }
  expect(
    (await ask("/v1/images/edits", { method: "POST", headers: { "content-type": "application/json" }, body: "{}" }))
      .status,
  ).toBe(415);
});

test("embeddings: floats, and the base64 that openai asks for", async () => {
  const vector = Float32Array.of(1, -2, 0.5);
  const { post } = httpApp({}, gives({ type: "vector", vector }, end));
  const { json } = await post("/v1/embeddings", { input: [url, url] });
  expect(json.usage).toEqual({ prompt_tokens: 24, total_tokens: 24 });
  expect(json.data.map(({ embedding }: { embedding: number[] }) => embedding)).toEqual([
    [1, -2, 0.5],
    [1, -2, 0.5],
  ]);
  const coded = await post("/v1/embeddings", { input: url, encoding_format: "base64" });
  const bytes = Buffer.from(coded.json.data[0].embedding, "base64");
  expect([0, 4, 8].map((at) => bytes.readFloatLE(at))).toEqual([1, -2, 0.5]);
  for (const [fields, param] of [
    [{ input: "a text" }, "input[0]"],
    [{ input: [] }, "input"],
    [{ input: url, dimensions: 2 }, "dimensions"],
    [{ input: url, encoding_format: "hex" }, "encoding_format"],
  ] as const) {
    const bad = await post("/v1/embeddings", fields);
    expect([bad.status, bad.json.error.param]).toEqual([400, param]);
  }
});
