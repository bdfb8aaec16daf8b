import { expect, test } from "vitest";
import { eventsOf, httpApp, httpSettings } from "../../../test/http-app.ts";
import { end, type Script, ScriptedEngine } from "../../../test/scripted-engine.ts";
import { EngineError } from "../protocol.ts";
import { type AnswerStore, MemoryAnswers } from "./answers.ts";
import { createApp } from "./app.ts";

const CHAT = "/v1/chat/completions";
const hello = { messages: [{ role: "user", content: "Hi" }] };
const key = (name: string) => ({ "idempotency-key": name });

/** Says "A", then "B" when it is let. */
function held(): { readonly script: Script; readonly release: () => void } {
  let release!: () => void;
  const gate = new Promise<void>((resolve) => {
    release = resolve;
  });
  return {
    release,
    async *script(_, { signal }) {
      yield { type: "text", text: "A" };
      await Promise.race([gate, new Promise((_, reject) => signal!.addEventListener("abort", reject))]);
      yield { type: "text", text: "B" };
      yield end;
    },
  };
}

test("a repeated request gets the same bytes, and is not answered twice", async () => {
  const { post, engine } = httpApp();
  const first = await post(CHAT, hello, key('"one"'));
  const again = await post(CHAT, hello, key("one"));
  expect([first.status, again.status, engine.requests.length]).toEqual([200, 200, 1]);
  expect(again.text).toBe(first.text);
  expect(again.headers.get("content-type")).toBe(first.headers.get("content-type"));
  expect([first, again].map(({ headers }) => headers.get("idempotent-replayed"))).toEqual([null, "true"]);
  expect(again.headers.get("x-request-id")).not.toBe(first.headers.get("x-request-id"));
  expect((await post(CHAT, hello, key("two"))).text).not.toBe(first.text);
  expect(engine.requests).toHaveLength(2);
});

test("a request that comes while the first is answered joins it, a stream from its beginning, also when the first client leaves", async () => {
  const { script, release } = held();
  const { app, post, engine } = httpApp({}, script);
  const leaving = new AbortController();
  const first = await app.request(`http://localhost${CHAT}`, {
    method: "POST",
    headers: { "content-type": "application/json", ...key("one") },
    body: JSON.stringify({ ...hello, stream: true }),
    signal: leaving.signal,
  });
  const reader = first.body!.getReader();
  expect(new TextDecoder().decode((await reader.read()).value)).toContain('"A"');
  const joined = [1, 2].map(() => post(CHAT, { ...hello, stream: true }, key("one")));
  leaving.abort();
  await reader.cancel();
  release();
  const [second, third] = await Promise.all(joined);
  expect(eventsOf(second!.text).map(({ choices }) => choices[0].delta.content)).toEqual(["", "A", "B", undefined]);
  expect(third!.text).toBe(second!.text);
  expect(engine.requests).toHaveLength(1);
});

test("the same key with another request is a 422 that names the key; each API key has keys of its own", async () => {
  const { post, engine } = httpApp({ apiKeys: ["a", "b"] });
  const as = (who: string) => ({ authorization: `Bearer ${who}`, ...key("one") });
  await post(CHAT, hello, as("a"));
  const { status, json } = await post(CHAT, { ...hello, seed: 1 }, as("a"));
  expect([status, json.error]).toEqual([
    422,
    {
      message:
        'The Idempotency-Key "one" was used for a different request; repeat that one unchanged, or use a new key',
      type: "invalid_request_error",
      param: "Idempotency-Key",
      code: "idempotency_key_reused",
    },
  ]);
  expect((await post(CHAT, { ...hello, seed: 1 }, as("b"))).status).toBe(200);
  expect(engine.requests).toHaveLength(2);
  for (const bad of ["", "x".repeat(256), "é"]) {
    const { status, json } = await post(CHAT, hello, { ...as("a"), ...key(bad) });
    expect([status, json.error.code]).toEqual([400, "invalid_idempotency_key"]);
  }
});

test("a form that is sent again is the same, whatever its boundary", async () => {
  const { ask, engine } = httpApp({}, async function* () {
    yield { type: "text", text: "" };
    throw new EngineError("queue_full", "The queue is full", 3);
  });
  const form = () => {
    const form = new FormData();
    form.set("prompt", "blue");
    form.set("image", new Blob([new Uint8Array([0x89, 0x50, 0x4e, 0x47, 13, 10, 26, 10])]), "a.png");
    return form;
  };
  const edit = () => ask("/v1/images/edits", { method: "POST", headers: key("one"), body: form() });
  // Another form under the same key would be a 422; a failure is not kept, so it is tried again.
  expect((await edit()).status).toBe(429);
  expect((await edit()).status).toBe(429);
  expect(engine.requests).toHaveLength(2);
});

test("what failed may be asked for again, whole or in a stream", async () => {
  const { post, engine } = httpApp({}, async function* () {
    yield { type: "text", text: "A" };
    throw new EngineError("worker_died", "It died");
  });
  for (const stream of [false, true]) {
    const failed = await post(CHAT, { ...hello, stream }, key(`${stream}`));
    expect([failed.status, failed.text.includes("It died")]).toEqual([stream ? 200 : 500, true]);
    const again = await post(CHAT, { ...hello, stream }, key(`${stream}`));
    expect(again.headers.has("idempotent-replayed")).toBe(false);
  }
  expect(engine.requests).toHaveLength(4);
});

test("answers are kept for their time, and give way to newer ones beyond their bytes", async () => {
  const answers = new MemoryAnswers({ keepMs: 60_000, keepBytes: 10_000 });
  const keep = async (name: string) => {
    const claim = await answers.claim(name, "x");
    if (claim.state !== "first") return claim.state;
    await claim.writer.write({ type: "body", bytes: new Uint8Array(3000) });
    await claim.writer.keep([]);
    return claim.state;
  };
  expect([await keep("a"), await keep("b"), await keep("a"), await keep("c")]).toEqual([
    "first",
    "first",
    "again",
    "first",
  ]);
  expect([await keep("b"), await keep("c"), await keep("a")]).toEqual(["again", "again", "first"]);
  const brief = new MemoryAnswers({ keepMs: 0, keepBytes: 10_000 });
  const claim = await brief.claim("a", "x");
  if (claim.state === "first") await claim.writer.keep([]);
  expect((await brief.claim("a", "y")).state).toBe("first");
});

test.each([false, true])(
  "a whole answer is kept before it is sent, and sent all the same where that fails: %s",
  async (fails) => {
    const engine = new ScriptedEngine();
    const memory = new MemoryAnswers();
    let release: (() => void) | undefined;
    const answers: AnswerStore = {
      async claim(name, fingerprint) {
        const claim = await memory.claim(name, fingerprint);
        if (claim.state !== "first") return claim;
        const { writer } = claim;
        const keep = async (ids: readonly string[]) => {
          await new Promise<void>((resolve, reject) => {
            release = fails ? () => reject(new Error("full")) : resolve;
          });
          await writer.keep(ids);
        };
        return { state: "first", writer: { ...writer, keep } };
      },
    };
    const app = createApp({ engine, settings: httpSettings(), answers });
    const init = { method: "POST", headers: { "content-type": "application/json", ...key("one") } };
    const answer = Promise.resolve(app.request(`http://localhost${CHAT}`, { ...init, body: JSON.stringify(hello) }));
    let text = "";
    const read = answer.then(async (answer) => {
      text = await answer.text();
    });
    await expect.poll(() => release).toBeDefined();
    expect(text).toBe("");
    release!();
    await read;
    expect(text).toContain("Hello");
  },
);
