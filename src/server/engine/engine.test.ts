// One engine with one worker and kelix-nano; engine-life.test.ts starts and ends others.

import { readFile } from "node:fs/promises";
import { setTimeout as sleep } from "node:timers/promises";
import { afterAll, beforeAll, expect, test } from "vitest";
import { ImageCodes, InputError, Kelix } from "../../index.ts";
import type { Engine, EngineEvent, EngineRequest, RunOptions } from "../protocol.ts";
import { openEngine } from "./engine.ts";
import { WINDOW } from "./messages.ts";

const MODEL = "kelix-nano";
const load = { threads: 1 };
const [MAX_RUNNING, MAX_WAITING] = [4, 3];
let engine: Engine;
let kelix: Kelix;
let rocket: Uint8Array;
beforeAll(async () => {
  engine = openEngine({ model: MODEL, load, maxRunning: MAX_RUNNING, maxWaiting: MAX_WAITING, stalledMs: 10_000 });
  expect(engine.state).toBe("starting");
  [kelix, rocket] = await Promise.all([
    Kelix.load(MODEL, load),
    readFile("data/heldout/demo/rocket.png"),
    engine.ready,
  ]);
});
afterAll(() => Promise.all([engine?.close({ graceMs: 0 }), kelix?.dispose()]));

function run(request: EngineRequest, options: Partial<RunOptions> = {}) {
  return engine.run(request, { model: MODEL, key: "a", ...options });
}

async function all(request: EngineRequest, options: Partial<RunOptions> = {}): Promise<EngineEvent[]> {
  const events: EngineEvent[] = [];
  for await (const event of run(request, options)) events.push(event);
  return events;
}

function only<T extends EngineEvent["type"]>(events: readonly EngineEvent[], type: T) {
  return events.filter((event): event is EngineEvent & { readonly type: T } => event.type === type);
}

const textOf = (events: readonly EngineEvent[]) => only(events, "text").reduce((whole, { text }) => whole + text, "");
const usageOf = (events: readonly EngineEvent[]) => only(events, "end")[0]!.usage;

const ask = (content: string, options = {}): EngineRequest => ({
  kind: "chat",
  messages: [{ role: "user", content }],
  options: { maxNewTokens: 12, ...options },
  mayDraw: false,
});
/** Goes on for as long as any test. */
const endless = (content = "Tell me more") => ask(content, { minNewTokens: 900, maxNewTokens: 900, temperature: 1 });

async function metric(name: string): Promise<number> {
  const { values } = (await engine.registry.getMetricsAsJSON()).find((one) => one.name === `kelix:${name}`)! as {
    readonly values: readonly { readonly value: number; readonly metricName?: string }[];
  };
  return (values.find(({ metricName }) => metricName?.endsWith("_count")) ?? values[0])?.value ?? 0;
}

async function idle(withinMs: number): Promise<void> {
  const endMs = performance.now() + withinMs;
  while ((await metric("num_requests_running")) + (await metric("num_requests_waiting")) > 0) {
    expect(performance.now()).toBeLessThan(endMs);
    await sleep(5);
  }
}

test("knows its model when a worker is ready", () => {
  expect(engine.state).toBe("ready");
  const facts = { context: 1024, grid: [6, 6], imageSize: [96, 96], canChat: true, canImagine: true, canEmbed: true };
  expect(engine.models).toMatchObject([{ id: MODEL, facts }]);
});

test("answers as the library does: an image in, text and log-probabilities out", async () => {
  const content = [{ type: "image", image: rocket } as const, { type: "text", text: "What is this?" } as const];
  const messages = [{ role: "user", content } as const];
  const events = await all({ kind: "chat", messages, options: { maxNewTokens: 12 }, mayDraw: false, topLogprobs: 2 });
  const wanted = await kelix.chat(messages, { maxNewTokens: 12, mayDraw: false }).result();
  expect(wanted.text.length).toBeGreaterThan(3);
  expect(textOf(events)).toBe(wanted.text);
  expect(events.at(-1)).toMatchObject({ type: "end", finishReason: wanted.finishReason });
  const { cachedPromptTokens: _, ...counts } = wanted.usage;
  expect(usageOf(events)).toMatchObject(counts);
  const logprobs = only(events, "text").flatMap((event) => event.logprobs ?? []);
  expect(logprobs.map(({ text }) => text).join("")).toBe(wanted.text);
  const own = await libraryLogprobs(messages, 12);
  expect(logprobs.length).toBe(own.length);
  for (const [i, { bytes, text, logprob, top }] of logprobs.entries()) {
    expect(new TextDecoder().decode(Uint8Array.from(bytes))).toBe(text);
    expect(top.map(({ logprob }) => logprob)).toEqual([logprob, expect.any(Number)]); // greedy
    expect(top[1]!.logprob).toBeLessThanOrEqual(logprob);
    expect(Math.abs(logprob - own[i]!)).toBeLessThan(ROUNDING);
  }
});

/**
 * Scores of nano are of the order of 10, which float32 has to 1e-6. Rows that are read in other pieces or beside others may be summed in
 * another order; on AVX2 no difference was seen at all.
 */
const ROUNDING = 1e-5;

async function libraryLogprobs(messages: Parameters<Kelix["chat"]>[0], maxNewTokens: number): Promise<number[]> {
  const logprobs: number[] = [];
  for await (const event of kelix.chat(messages, { maxNewTokens, mayDraw: false, topLogprobs: 0 }))
    if (event.type === "text") logprobs.push(...(event.logprobs ?? []).map(({ logprob }) => logprob));
  return logprobs;
}

test("log-probabilities in company are those of each alone, up to rounding", async () => {
  const prompts = ["What is a rocket?", "Describe a red circle.", "two blue squares", "Hello"];
  const together = await Promise.all(
    prompts.map((prompt) => all({ ...ask(prompt, { maxNewTokens: 24 }), topLogprobs: 0 } as EngineRequest)),
  );
  let most = 0;
  for (const [i, prompt] of prompts.entries()) {
    const found = only(together[i]!, "text").flatMap(({ logprobs }) => logprobs!.map(({ logprob }) => logprob));
    const own = await libraryLogprobs([{ role: "user", content: prompt }], 24);
    expect(found.length).toBe(own.length);
    for (const [t, logprob] of found.entries()) most = Math.max(most, Math.abs(logprob - own[t]!));
  }
  expect(most).toBeLessThan(ROUNDING);
});

test("answers in company are those of each alone, though another leaves", async () => {
  const prompts = ["What is a rocket?", "Describe a red circle.", "two blue squares", "Hello", "a cat", "Why?"];
  const requests = prompts.map((prompt, seed) => ask(prompt, { seed, temperature: seed % 2, maxNewTokens: 24 }));
  const leaving = run(endless())[Symbol.asyncIterator]();
  await leaving.next();
  const together = Promise.all(requests.map((request) => all(request)));
  await leaving.return?.();
  const texts = (await together).map(textOf);
  for (const [i, request] of requests.entries()) {
    if (request.kind !== "chat") continue;
    const { text } = await kelix.chat(request.messages, { ...request.options, mayDraw: false }).result();
    expect(texts[i]).toBe(text);
  }
});

test("draws, edits and decodes images, with previews, and tells which were drawn alone", async () => {
  const options = { seed: 3, steps: 4 };
  const events = await all({ kind: "imagine", prompt: "two red circles", options, previews: 2 });
  const [image] = only(events, "image");
  const [wanted] = await kelix.imagine("two red circles", options);
  expect(image).toMatchObject({ width: 96, height: 96, seed: 3, isAlone: true });
  expect(image!.codes.codes).toEqual(wanted!.codes.codes);
  expect(Buffer.from(image!.png).equals(await wanted!.toPng())).toBe(true);
  const previews = only(events, "preview");
  expect(previews.map(({ index }) => index)).toEqual([0, 1]);
  for (const { png } of previews) expect([...png.subarray(1, 4)]).toEqual([...Buffer.from("PNG")]);
  const { codes } = image!;
  const plain = { grid: [...codes.grid], codes: [...codes.codes] };
  const [edited, decoded] = await Promise.all([
    all({ kind: "edit", image: image!.png, prompt: "make it blue", options }),
    all({ kind: "reconstruct", codes: plain, options }),
  ]);
  const same = await kelix.edit(wanted!, "make it blue", options);
  expect(usageOf(events)).toMatchObject({ ...wanted!.usage!, completionTokens: 37 });
  expect(usageOf(edited)).toMatchObject({ ...same.usage!, imagesIn: 1, imagesOut: 1 });
  expect(only(edited, "image")[0]).toMatchObject({ isAlone: false, codes: { codes: same.codes.codes } });
  expect(only(decoded, "image")[0]!.codes.codes).toEqual(codes.codes);
  expect(usageOf(decoded)).toMatchObject({ imagesOut: 1, promptTokens: 0 });
});

test("tokenizes and embeds, from a view of a larger body too", async () => {
  const body = new Uint8Array(rocket.length + 1000);
  body.set(rocket, 500);
  const image = body.subarray(500, 500 + rocket.length);
  const [tokenized] = only(await all({ kind: "tokenize", image }), "codes");
  const wanted = await kelix.tokenize(rocket);
  expect(new ImageCodes(tokenized!.codes)).toEqual(wanted);
  const [embedded] = only(await all({ kind: "embed", image: wanted.toJSON() }), "vector");
  expect(embedded!.vector).toEqual(await kelix.embed(wanted));
  expect(only(await all({ kind: "embed", image }), "vector")[0]!.vector).toEqual(await kelix.embed(rocket));
  expect(body[500]).toBe(rocket[0]); // it still has its bytes
});

test("what is cached of one key is never seen by another", async () => {
  const content = [{ type: "image", image: rocket } as const, { type: "text", text: "Which key is this?" } as const];
  const request: EngineRequest = {
    kind: "chat",
    messages: [{ role: "user", content }],
    options: { maxNewTokens: 4 },
    mayDraw: false,
  };
  const [first, again] = [await all(request, { key: "first" }), await all(request, { key: "first" })].map(usageOf);
  expect(first).toMatchObject({ cachedPromptTokens: 0, cachedImages: 0, imagesIn: 1 });
  expect(again).toMatchObject({ cachedPromptTokens: first!.promptTokens, cachedImages: 1 });
  const hits = await metric("prefix_cache_hits_total");
  const other = usageOf(await all(request, { key: "second" }));
  expect(other).toMatchObject({ cachedPromptTokens: 0, cachedImages: 0, promptTokens: first!.promptTokens });
  expect(await metric("prefix_cache_hits_total")).toBe(hits);
  expect(usageOf(await all(request, { key: "" }))).toMatchObject({ cachedPromptTokens: 0, cachedImages: 0 });
});

test("takes as many as it has room for, and refuses exactly the others", async () => {
  const extra = 5;
  const requests = Array.from({ length: MAX_RUNNING + MAX_WAITING + extra }, (_, i) => all(ask(`question ${i}`)));
  const results = await Promise.allSettled(requests);
  const refused = results.flatMap((result) => (result.status === "rejected" ? [result.reason] : []));
  expect(refused).toHaveLength(extra);
  for (const error of refused) {
    expect(error).toMatchObject({ name: "EngineError", code: "queue_full" });
    expect(error.retryAfterSeconds).toBeGreaterThanOrEqual(1);
  }
  await idle(1000);
});

test.each([
  ["a text", endless()],
  ["an image", { kind: "imagine", prompt: "a cat", options: { steps: 1000 } } as const],
])(
  "%s stops when its reader leaves or its signal aborts, and an aborted one in the queue never runs",
  async (_, long) => {
    const controller = new AbortController();
    const { signal } = controller;
    const running = Array.from({ length: MAX_RUNNING }, () => all(long, { signal }));
    const waiting = all(ask("waits"), { signal });
    const ends = Promise.allSettled([...running, waiting]);
    await sleep(300);
    controller.abort(new Error("left"));
    for (const end of await ends) expect(end).toMatchObject({ status: "rejected", reason: new Error("left") });
    const startMs = performance.now();
    await idle(3000);
    expect(performance.now() - startMs).toBeLessThan(2000); // of what takes many times as long
  },
);

test("a request ends at its deadline, where it runs and where it waits", async () => {
  await expect(all(endless(), { deadlineMs: 100 })).rejects.toMatchObject({ code: "deadline_exceeded" });
  const controller = new AbortController();
  const busy = Array.from({ length: MAX_RUNNING }, () => all(endless(), { signal: controller.signal }));
  const ends = Promise.allSettled(busy);
  await expect(all(ask("waits"), { deadlineMs: 50 })).rejects.toThrow(
    "longer than its 0.05 seconds, all of it waiting",
  );
  controller.abort();
  await ends;
  await idle(3000);
});

test("writes no further than a window ahead of a reader that does not read", async () => {
  const events = run(endless())[Symbol.asyncIterator]();
  await events.next();
  const before = await metric("inter_token_latency_seconds");
  await sleep(1000); // in which hundreds of tokens could be written
  const written = (await metric("inter_token_latency_seconds")) - before;
  expect(written).toBeLessThanOrEqual(WINDOW);
  const other = await all(ask("Hello")); // others go on
  expect(textOf(other)).not.toBe("");
  await events.return?.();
  await idle(3000);
});

test.each([
  [{ kind: "imagine", prompt: "a cat", options: { steps: 0 } }, "invalid_option", /Expected `steps`/],
  [{ kind: "imagine", prompt: " ", options: {} }, "invalid_input", /Expected a prompt/],
  [{ kind: "tokenize", image: new Uint8Array(9) }, "invalid_image", /./],
  [ask("word ".repeat(3000)), "too_long", /positions|characters/],
  [{ kind: "reconstruct", codes: { grid: [1, 1], codes: [1] }, options: {} }, "invalid_codes", /./],
] as const)("a wrong request is the caller's fault, in our own words: %#", async (request, code, message) => {
  const error = await all(request as EngineRequest).catch((error: unknown) => error);
  expect(error).toBeInstanceOf(InputError);
  expect(error).toMatchObject({ code, message: expect.stringMatching(message) });
});

test("rejects another model's name", async () => {
  await expect(all(ask("a"), { model: "gpt" })).rejects.toMatchObject({ code: "model_not_found" });
});

test("counts what it did, under vLLM's names", async () => {
  const [prompts, generated] = [await metric("prompt_tokens_total"), await metric("generation_tokens_total")];
  const usage = usageOf(await all(ask("Count me")));
  expect((await metric("prompt_tokens_total")) - prompts).toBe(usage.promptTokens);
  expect((await metric("generation_tokens_total")) - generated).toBe(usage.completionTokens);
  const text = await engine.registry.metrics();
  for (const name of [
    "time_to_first_token_seconds_bucket",
    "e2e_request_latency_seconds_count",
    "num_requests_running",
  ])
    expect(text).toContain(`kelix:${name}{`);
  expect(text).toContain(`model_name="${MODEL}"`);
});
