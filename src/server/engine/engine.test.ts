import { readFile } from "node:fs/promises";
import { afterAll, beforeAll, expect, test } from "vitest";
import { InputError, Kelix } from "../../index.ts";
import type { Engine, EngineEvent, EngineRequest, RunOptions } from "../protocol.ts";
import { openEngine } from "./engine.ts";

const MODEL = "kelix-nano";
let engine: Engine;
let kelix: Kelix;
let rocket: Uint8Array;
beforeAll(async () => {
  engine = openEngine({
    model: MODEL,
    log: (entry) => entry.level !== "info" && console.error(entry.message, entry.detail),
  });
  expect(engine.state).toBe("starting");
  [kelix, rocket] = await Promise.all([Kelix.load(MODEL), readFile("data/heldout/demo/rocket.png"), engine.ready]);
});
afterAll(() => Promise.all([engine?.close({ graceMs: 0 }), kelix?.dispose()]));

async function all(request: EngineRequest, options: Partial<RunOptions> = {}): Promise<EngineEvent[]> {
  const events: EngineEvent[] = [];
  for await (const event of engine.run(request, { model: MODEL, key: "a", ...options })) events.push(event);
  return events;
}

function only<T extends EngineEvent["type"]>(events: readonly EngineEvent[], type: T) {
  return events.filter((event): event is EngineEvent & { readonly type: T } => event.type === type);
}

const textOf = (events: readonly EngineEvent[]) =>
  only(events, "text")
    .map(({ text }) => text)
    .join("");

test("knows its model when a worker is ready", () => {
  expect(engine.state).toBe("ready");
  expect(engine.models).toMatchObject([{ id: MODEL, facts: { grid: [6, 6], canImagine: true, canChat: true } }]);
});

test("answers as the library does: text, an image in, logprobs", async () => {
  const content = [{ type: "image", image: rocket } as const, { type: "text", text: "What is this?" } as const];
  const messages = [{ role: "user", content } as const];
  const events = await all({ kind: "chat", messages, options: { maxNewTokens: 12 }, mayDraw: false, topLogprobs: 2 });
  const wanted = await kelix.chat(messages, { maxNewTokens: 12, mayDraw: false }).result();
  expect(textOf(events)).toBe(wanted.text);
  const end = events.at(-1);
  expect(end).toMatchObject({ type: "end", finishReason: wanted.finishReason });
  const logprobs = only(events, "text").flatMap((event) => event.logprobs ?? []);
  expect(logprobs.map(({ text }) => text).join("")).toBe(wanted.text);
  for (const { logprob, top } of logprobs) {
    expect(top).toHaveLength(2);
    expect(top[0]!.logprob).toBe(logprob); // greedy
    expect(top[1]!.logprob).toBeLessThanOrEqual(logprob);
  }
});
