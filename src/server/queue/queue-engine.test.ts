// Replicas in this process over a Redis of their own, with scripted engines in place of models. Processes with a model are killed in
// test/long/serve-queue.test.ts.

import { setTimeout as sleep } from "node:timers/promises";
import { afterAll, afterEach, beforeAll, beforeEach, expect, test } from "vitest";
import { httpSettings } from "../../../test/http-app.ts";
import { startRedis, type TestRedis } from "../../../test/redis-server.ts";
import { end, type Script, ScriptedEngine, says } from "../../../test/scripted-engine.ts";
import { connectRedis, loadBull } from "../../redis/redis.ts";
import { createApp } from "../http/app.ts";
import type { EngineError, EngineEvent, EngineRequest, RunOptions } from "../protocol.ts";
import { openQueueEngine, type QueueEngine } from "./queue-engine.ts";
import { RedisAnswers } from "./redis-answers.ts";

const LOCK_MS = 1500;
let redis: TestRedis;
let engines: QueueEngine[] = [];
beforeAll(async () => {
  await loadBull(); // its import takes longer than a replica may be silent
  redis = await startRedis();
});
afterAll(() => redis.close());
beforeEach(async () => {
  const connection = await connectRedis(redis.url);
  await connection.flushall();
  connection.disconnect();
});
afterEach(async () => {
  await Promise.all(engines.map((engine) => engine.close({ graceMs: 0 })));
  engines = [];
});

async function replica(script: Script, { slots = 1, maxWaiting = 64, deadlineMs = 60_000, lockMs = LOCK_MS } = {}) {
  const local = new ScriptedEngine(script);
  const common = { url: redis.url, deadlineMs, lockMs, keepMs: 60_000 };
  const engine = await openQueueEngine({ ...common, engine: local, slots, maxWaiting });
  engines.push(engine);
  return { engine, local };
}

const ask = (text: string): EngineRequest => ({
  kind: "chat",
  messages: [{ role: "user", content: text }],
  options: { seed: 1 },
  mayDraw: false,
});
const as = (key: string, more: Partial<RunOptions> = {}): RunOptions => ({ model: "toy", key, ...more });
const promptOf = (request: EngineRequest) => (request.kind === "chat" ? request.messages[0]!.content : request.kind);

async function textOf(events: AsyncIterable<EngineEvent>): Promise<string> {
  let text = "";
  for await (const event of events) if (event.type === "text") text += event.text;
  return text;
}

/** Names itself, and waits to be let. */
function gated(name: string) {
  const waiting: (() => void)[] = [];
  const script: Script = async function* (request, { signal }) {
    yield { type: "text", text: `${name}:${promptOf(request)}` };
    await new Promise<void>((resolve, reject) => {
      waiting.push(resolve);
      signal?.addEventListener("abort", () => reject(signal.reason), { once: true });
    });
    yield end;
  };
  return { script, waiting };
}

test("replicas share what one of them accepts; keys take turns; events keep their order and their types", async () => {
  const [a, b] = [gated("a"), gated("b")];
  const front = await replica(a.script);
  await replica(b.script);
  const prompts = [
    ["one", "1"],
    ["one", "2"],
    ["one", "3"],
    ["one", "4"],
    ["two", "5"],
  ] as const;
  const answers: Promise<string>[] = [];
  for (const [key, prompt] of prompts) {
    answers.push(textOf(front.engine.run(ask(prompt), as(key))));
    await sleep(60);
  }
  await expect.poll(() => a.waiting.length + b.waiting.length).toBe(2);
  const order: string[] = [];
  for (const answer of answers) void answer.then((text) => order.push(text.slice(2)));
  for (let done = 0; done < prompts.length; done++) {
    await expect.poll(() => a.waiting.length + b.waiting.length).toBeGreaterThan(0);
    (a.waiting.shift() ?? b.waiting.shift())!();
    await expect.poll(() => order.length).toBe(done + 1);
  }
  const texts = await Promise.all(answers);
  expect(new Set(texts.map((text) => text[0]))).toEqual(new Set(["a", "b"]));
  expect(texts.map((text) => text.slice(2))).toEqual(["1", "2", "3", "4", "5"]);
  expect(order.indexOf("5")).toBeLessThan(order.indexOf("4")); // the other key did not wait for all of the first
});

test("images, codes and vectors come through as they were", async () => {
  const codes = { grid: [1, 2], codes: new Uint16Array([1, 65_535]) } as const;
  const png = new Uint8Array([137, 80, 0, 255]);
  const image = {
    type: "image",
    png,
    width: 2,
    height: 1,
    seed: 7,
    codes,
    isAlone: true,
    receipt: { a: [1] },
  } as const;
  const given: EngineEvent[] = [
    { type: "preview", index: 0, png },
    image,
    { type: "vector", vector: new Float32Array([0.5, -1]) },
    end,
  ];
  const { engine, local } = await replica(async function* () {
    yield* given;
  });
  const request: EngineRequest = { kind: "edit", image: png, mask: png, prompt: "blue", options: { seed: 1 } };
  const events: EngineEvent[] = [];
  for await (const event of engine.run(request, as("k"))) events.push(event);
  const plain = (value: unknown): unknown =>
    ArrayBuffer.isView(value)
      ? [value instanceof Uint8Array ? "Uint8Array" : value.constructor.name, ...(value as Uint8Array)]
      : typeof value === "object" && value !== null
        ? Object.fromEntries(Object.entries(value).map(([name, one]) => [name, plain(one)]))
        : value;
  expect(plain(events)).toEqual(plain(given));
  expect(plain(local.requests[0])).toEqual(plain(request));
  expect(local.options[0]!.key).toBe("k");
});

test("a client that leaves ends the work on the replica that has it, and what waits", async () => {
  const signals: AbortSignal[] = [];
  const idle = await replica(says(), { slots: 0 });
  const busy = gated("b");
  await replica((request, options) => {
    signals.push(options.signal!);
    return busy.script(request, options);
  });
  const leaving = new AbortController();
  const runs = ["1", "2"].map((prompt) => {
    const events = idle.engine.run(ask(prompt), as("k", { signal: leaving.signal }));
    return textOf(events).catch((error: unknown) => error);
  });
  await expect.poll(() => signals.length).toBe(1);
  leaving.abort(new Error("gone"));
  expect(await Promise.all(runs)).toEqual([new Error("gone"), new Error("gone")]);
  await expect.poll(() => signals[0]!.aborted).toBe(true);
  const third = textOf(idle.engine.run(ask("3"), as("k")));
  await expect.poll(() => signals.length).toBe(2); // the second was never begun
  busy.waiting.at(-1)!();
  expect(await third).toBe("b:3");
});

test("the bound counts all replicas; the newest of the key with most requests gives way, with Retry-After", async () => {
  const [a, b] = [gated("a"), gated("b")];
  const fronts = [await replica(a.script, { maxWaiting: 3 }), await replica(b.script, { maxWaiting: 3 })];
  await expect.poll(async () => (await fronts[0]!.engine.broker.beat(1)).slots).toBe(2);
  const outcomes: string[] = [];
  const send = async (i: number, key: string) => {
    const run = textOf(fronts[i % 2]!.engine.run(ask(`${i}`), as(key)));
    void run.then(
      () => outcomes.push(`${i} done`),
      (error: EngineError) => outcomes.push(`${i} ${error.code} ${Number(error.retryAfterSeconds) >= 1}`),
    );
    await sleep(60);
  };
  for (let i = 0; i < 6; i++) await send(i, "greedy");
  await expect.poll(() => outcomes).toEqual(["5 queue_full true"]);
  await send(6, "modest");
  await expect.poll(() => outcomes).toEqual(["5 queue_full true", "4 queue_full true"]);
  for (let left = 5; left > 0; left--) {
    await expect.poll(() => a.waiting.length + b.waiting.length).toBeGreaterThan(0);
    (a.waiting.shift() ?? b.waiting.shift())!();
  }
  await expect.poll(() => outcomes.filter((outcome) => outcome.endsWith("done")).length).toBe(5);
});

/** Says its words one after the other, so slowly. */
function slowly(words: readonly string[], pauseMs: number): Script {
  return async function* (_, { signal }) {
    for (const text of words) {
      yield { type: "text", text };
      await sleep(pauseMs, undefined, { signal });
    }
    yield end;
  };
}

test("a replica that is cut off in the middle of an answer is replaced: the stream goes on exactly, or ends with an error", async () => {
  const front = await replica(says(), { slots: 0 });
  for (const [words, ending] of [
    [["A", "BC", "D"], "ABCD"],
    [["A", "x", "D"], "worker_died"],
  ] as const) {
    const lost = await replica(slowly(["A", "B", "C", "D"], 600));
    const run = front.engine.run(ask("?"), as("k"));
    let text = "";
    const done = (async () => {
      for await (const event of run) if (event.type === "text") text += event.text;
      return text;
    })().catch((error: EngineError) => error.code);
    await expect.poll(() => text).toBe("AB");
    lost.engine.broker.redis.disconnect(); // its locks run out, and what it still says is not heard
    const next = await replica(slowly(words, 0));
    expect(await done).toBe(ending);
    expect(next.local.requests).toHaveLength(1);
    await Promise.all([lost, next].map(({ engine }) => engine.close({ graceMs: 0 })));
  }
}, 60_000);

test("a deadline holds while a request waits; draining gives back what runs", async () => {
  const front = await replica(says(), { slots: 0 });
  const error = await textOf(front.engine.run(ask("1"), as("k", { deadlineMs: 200 }))).catch((error: unknown) => error);
  expect(error).toMatchObject({ code: "deadline_exceeded", message: "The request took longer than its 0.2 seconds" });
  const first = gated("a");
  const { engine } = await replica(first.script);
  const run = textOf(front.engine.run(ask("2"), as("k")));
  await expect.poll(() => first.waiting.length).toBe(1);
  await engine.close({ graceMs: 100 });
  await expect(textOf(engine.run(ask("3"), as("k")))).rejects.toMatchObject({ code: "draining" });
  await replica(says("a:", "2", "!"));
  expect(await run).toBe("a:2!");
});

test("without Redis requests are refused at once, and are answered again when it is back", async () => {
  const { engine } = await replica(
    async function* (request, options) {
      if (promptOf(request) === "long") await sleep(60_000, undefined, { signal: options.signal! });
      yield* says("Hello")(request, options);
    },
    { slots: 2 },
  );
  expect(await textOf(engine.run(ask("1"), as("k")))).toBe("Hello");
  const lost = textOf(engine.run(ask("long"), as("k"))).catch((error: EngineError) => error.code);
  await sleep(200);
  await redis.killAndRestart(async () => {
    await expect.poll(() => engine.state).toBe("queue_unavailable");
    await expect(textOf(engine.run(ask("2"), as("k")))).rejects.toMatchObject({
      code: "queue_unavailable",
      message: "The queue that this server shares with others cannot be reached; try again soon",
    });
  });
  expect(await lost).toBe("queue_unavailable"); // this Redis keeps nothing on a disk
  await expect.poll(() => engine.state).toBe("ready");
  expect(await textOf(engine.run(ask("3"), as("k")))).toBe("Hello");
}, 30_000);

/** The HTTP side of a replica; asks it with an Idempotency-Key. */
function http(engine: QueueEngine) {
  const answers = new RedisAnswers(engine.broker, { keepMs: 60_000, keepBytes: 100_000 });
  const app = createApp({ engine, settings: httpSettings(), answers });
  return async (key: string, body: object = {}) =>
    app.request("http://localhost/v1/chat/completions", {
      method: "POST",
      headers: { "content-type": "application/json", "idempotency-key": key },
      body: JSON.stringify({ messages: [{ role: "user", content: "Hi" }], stream: true, ...body }),
    });
}

test("a request that is repeated at another replica gets the same bytes, joins what runs, and survives the death of the first", async () => {
  const lockMs = 2 * LOCK_MS;
  const worker = gated("w");
  const { local } = await replica(worker.script);
  const fronts = [await replica(says(), { slots: 0, lockMs }), await replica(says(), { slots: 0, lockMs })] as const;
  const [first, second] = fronts.map(({ engine }) => http(engine)) as [
    ReturnType<typeof http>,
    ReturnType<typeof http>,
  ];

  const joined = [first("one"), second("one"), first("one")].map(async (answer) => (await answer).text());
  await expect.poll(() => worker.waiting.length).toBe(1);
  worker.waiting.pop()!();
  const texts = await Promise.all(joined);
  expect(new Set(texts).size).toBe(1);
  expect(texts[0]).toContain("w:");
  const again = await second("one");
  expect([await again.text(), again.headers.get("idempotent-replayed")]).toEqual([texts[0], "true"]);
  expect((await second("one", { seed: 1 })).status).toBe(422);

  const begun = (await first("two")).body!.getReader();
  expect(new TextDecoder().decode((await begun.read()).value)).toContain("w:");
  fronts[0].engine.broker.redis.disconnect(); // the first replica is as good as dead, its client comes back to the other
  const broken = await (await second("two")).text();
  expect(broken).toMatch(/"w:[\s\S]*^event: error\ndata: .*"code":"worker_died"/m);
  const repeated = second("two").then((answer) => answer.text());
  worker.waiting.pop()!();
  expect(await repeated).toMatch(/"w:[\s\S]*\[DONE\]/);
  expect(local.requests).toHaveLength(2);
}, 30_000);
