// Engines that start, lose a worker, and end.

import { setTimeout as sleep } from "node:timers/promises";
import { expect, test } from "vitest";
import { ModelError } from "../../index.ts";
import type { Engine, EngineEvent } from "../protocol.ts";
import { openEngine } from "./engine.ts";

const MODEL = "kelix-nano";
const load = { threads: 1 };
const crashing = new URL("../../../test/server/crashing-worker.ts", import.meta.url);

async function ask(engine: Engine, content: string, maxNewTokens = 8): Promise<EngineEvent[]> {
  const events: EngineEvent[] = [];
  const messages = [{ role: "user", content } as const];
  const options = { maxNewTokens, minNewTokens: maxNewTokens };
  const run = engine.run({ kind: "chat", messages, options, mayDraw: false }, { model: MODEL, key: "a" });
  for await (const event of run) events.push(event);
  return events;
}

function threads(): number {
  return process.getActiveResourcesInfo().filter((name) => /Worker/.test(name)).length;
}

test("a worker that dies fails what it had, and what waits is answered by the next one", async () => {
  const before = threads();
  const log: string[] = [];
  const engine = openEngine({
    model: MODEL,
    load,
    maxRunning: 2,
    workerFile: crashing,
    log: ({ message, detail }) => log.push(`${message}: ${detail}`),
  });
  const early = ask(engine, "Hello"); // before the model is loaded
  await engine.ready;
  expect((await early).at(-1)).toMatchObject({ type: "end" });
  const results = Promise.allSettled([ask(engine, "Hello", 900), ask(engine, "CRASH"), ask(engine, "waits")]);
  await results.then(([running, crash, waited]) => {
    for (const one of [running, crash])
      expect(one).toMatchObject({ status: "rejected", reason: { name: "EngineError", code: "worker_died" } });
    expect(waited).toMatchObject({ status: "fulfilled" });
  });
  expect(log.join("\n")).toContain("it ended with status 7");
  expect(engine.state).toBe("ready");

  // It ends: what runs is finished, what waits and what comes is refused.
  const running = [ask(engine, "one", 100), ask(engine, "two", 100)];
  const waiting = ask(engine, "three").catch((error: unknown) => error);
  await sleep(20);
  const closed = engine.close({ graceMs: 60_000 });
  expect(engine.state).toBe("draining");
  await expect(ask(engine, "four")).rejects.toMatchObject({ code: "draining" });
  expect(await waiting).toMatchObject({ code: "draining" });
  for (const events of await Promise.all(running)) expect(events.at(-1)).toMatchObject({ type: "end" });
  await closed;
  await engine.close();
  expect(threads()).toBe(before);
});

test("after its grace it ends what still runs", async () => {
  const engine = openEngine({ model: MODEL, load, workerFile: crashing });
  await engine.ready;
  const running = ask(engine, "one", 900).catch((error: unknown) => error);
  await sleep(50);
  await engine.close({ graceMs: 50 });
  expect(await running).toMatchObject({ code: "draining" });
});

test("says why a model cannot be loaded, and closes", async () => {
  const engine = openEngine({ model: "./no-such-folder" });
  const request = ask(engine, "Hello").catch((error: unknown) => error);
  const error = await engine.ready.catch((error: unknown) => error);
  expect(error).toBeInstanceOf(ModelError);
  expect(error).toMatchObject({ code: "model_not_found" });
  expect(await request).toBeInstanceOf(Error);
  expect(engine.state).toBe("draining");
  await engine.close();
});
