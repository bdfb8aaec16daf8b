// The queue with a Redis of its own; workers run in this process. What happens when processes are killed is in test/long/jobs.test.ts.

import { mkdtemp, readdir, readFile, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, beforeAll, beforeEach, expect, test } from "vitest";
import { startRedis, type TestRedis } from "../../test/redis-server.ts";
import { smallImage, tarOf, writeShards } from "../../test/shard-files.ts";
import { writeTinyModel } from "../../test/tiny-model.ts";
import { FetchError } from "../errors.ts";
import { connectRedis } from "../redis/redis.ts";
import { localEngine, type ShardEngine } from "./engine.ts";
import { findShards } from "./find-shards.ts";
import { serveMetrics } from "./metrics.ts";
import { JobQueue } from "./queue.ts";
import { parseShard, type Shard, ShardError } from "./shard.ts";
import { type WorkerOptions, work } from "./worker.ts";

let folder: string;
let model: string;
let shards: string;
let redis: TestRedis;
let queue: JobQueue;
let out: string;
beforeAll(async () => {
  folder = await mkdtemp(join(tmpdir(), "kelix-queue-"));
  model = await writeTinyModel(join(folder, "model"));
  shards = await writeShards(join(folder, "shards"), 4, 5);
  await writeFile(join(shards, "broken.tar"), "no tar at all ".repeat(100));
  redis = await startRedis();
  queue = await JobQueue.open(redis.url);
});
beforeEach(async () => {
  out = await mkdtemp(join(folder, "out-"));
  const connection = await connectRedis(redis.url);
  await connection.flushall();
  connection.disconnect();
});
afterAll(async () => {
  await queue.close();
  await redis.close();
  await rm(folder, { recursive: true });
});

async function shardsIn(place: string): Promise<Shard[]> {
  const found = await findShards([place]);
  return found.map(({ input, name }) => parseShard({ task: "tokenize", options: {}, input, name, output: out, model }));
}

const engine = () => localEngine({ version: "1", load: { threads: 1 } });
const finish = (options: Partial<WorkerOptions> = {}) =>
  work(redis.url, { engine: engine(), isUntilEmpty: true, signal: new AbortController().signal, ...options });

/** An engine that does what it is told in place of a model's work. */
function fakeEngine(run: ShardEngine["run"]): ShardEngine {
  return { run, close: async () => {} };
}

test("a worker does what was submitted once; what it cannot do is dead, with the reason, and holds nobody up", async () => {
  const all = await shardsIn(shards);
  expect(await queue.submit(all)).toEqual({ added: 5, known: 0 });
  expect(await queue.submit(all)).toEqual({ added: 0, known: 5 });
  expect(await queue.status()).toMatchObject({ waiting: 5, active: 0, dead: 0, isPaused: false });
  const metrics = await serveMetrics(0, "127.0.0.1");
  await finish({ onShard: metrics.count });
  expect(await queue.status()).toMatchObject({
    waiting: 0,
    active: 0,
    dead: 1,
    done: { shards: 4, images: 20, bad: 0 },
  });
  expect(await queue.dead()).toMatchObject([
    { name: "broken", attempts: 1, reason: "broken.tar: is not a tar, or damaged at byte 0" },
  ]);
  const names = ["000", "001", "002", "003"].flatMap((name) => [`${name}.manifest.json`, `${name}.safetensors`]);
  expect((await readdir(out)).sort()).toEqual(names);
  const text = await (await fetch(`http://127.0.0.1:${metrics.port}/metrics`)).text();
  expect(text).toContain('kelix_shards_total{task="tokenize",result="done"} 4');
  expect(text).toContain('kelix_shards_total{task="tokenize",result="failed"} 1');
  expect(text).toContain('kelix_images_total{task="tokenize",result="good"} 20');
  await metrics.close();

  // What was repaired is done when it is put back; what is done already is not done again.
  await writeFile(join(shards, "broken.tar"), await tarOf({ "0.png": await smallImage(0) }));
  await queue.retryDead();
  const first = await readFile(join(out, "000.safetensors"));
  const reports: boolean[] = [];
  expect(await queue.submit(all)).toEqual({ added: 4, known: 1 });
  await finish({ onShard: (_shard, _seconds, report) => reports.push(report!.isSkipped) });
  expect(reports.sort()).toEqual([false, true, true, true, true]);
  expect(await readFile(join(out, "000.safetensors"))).toEqual(first);
  expect(await queue.status()).toMatchObject({ waiting: 0, dead: 0 });
});

test("a failure that may pass is tried three times, and is dead then", async () => {
  const hasty = await JobQueue.open(redis.url, { backoffMs: 10 });
  await hasty.submit((await shardsIn(shards)).slice(0, 2));
  await hasty.close();
  const tries: string[] = [];
  const failing = fakeEngine(async ({ name }) => {
    tries.push(name);
    if (name === "000") throw new ShardError("the disk is full", "passing");
    return { isSkipped: false, items: 1, done: 1, bad: 0 };
  });
  await finish({ engine: failing });
  expect(tries.sort()).toEqual(["000", "000", "000", "001"]);
  expect(await queue.dead()).toMatchObject([{ name: "000", attempts: 3, reason: "the disk is full" }]);
});

test("while a storage cannot be reached a shard is tried again and again, and no attempt is counted", async () => {
  const hasty = await JobQueue.open(redis.url, { backoffMs: 10 });
  await hasty.submit((await shardsIn(shards)).slice(0, 1));
  await hasty.close();
  let left = 5;
  const cutOff = fakeEngine(async () => {
    if (left-- > 0) throw ShardError.of(new FetchError("the storage does not answer", { canRetry: true }));
    return { isSkipped: false, items: 1, done: 1, bad: 0 };
  });
  const lines: string[] = [];
  const attempts: boolean[] = [];
  await finish({
    engine: cutOff,
    log: (line) => lines.push(line),
    onShard: (_shard, _seconds, report) => attempts.push(report !== undefined),
  });
  expect(attempts).toEqual([true]);
  expect(await queue.status()).toMatchObject({
    waiting: 0,
    delayed: 0,
    dead: 0,
    done: { shards: 1, images: 1, bad: 0 },
  });
  const outage = "000: the storage does not answer; no attempt is counted, and it goes back into the queue in";
  expect(lines.slice(0, 5)).toEqual([0.01, 0.02, 0.04, 0.08, 0.16].map((seconds) => `${outage} ${seconds} s`));
});

/** A signal that is aborted soon after something is so. */
function until(isSo: () => boolean): { readonly signal: AbortSignal } {
  const controller = new AbortController();
  const timer = setInterval(() => {
    if (!isSo()) return;
    clearInterval(timer);
    setTimeout(() => controller.abort(), 300);
  }, 20);
  return { signal: controller.signal };
}

test("a worker that is stopped gives its shard back, which counts as no attempt", async () => {
  const [shard] = await shardsIn(shards);
  await queue.submit([shard!]);
  const stop = new AbortController();
  let isBegun = false;
  const patient = fakeEngine(
    (_, { signal }) =>
      new Promise((_resolve, reject) => {
        isBegun = true;
        signal.addEventListener("abort", () => reject(new ShardError("stopped", "passing")));
      }),
  );
  const timer = setInterval(() => isBegun && stop.abort(), 20);
  await finish({ engine: patient, isUntilEmpty: false, signal: stop.signal });
  clearInterval(timer);
  expect(await queue.status()).toMatchObject({ waiting: 1, active: 0, delayed: 0, dead: 0, workers: [] });
});

test("a paused queue gives nothing out; drain empties it", async () => {
  await queue.submit(await shardsIn(shards));
  await queue.pause();
  const tried: string[] = [];
  const noting = fakeEngine(async ({ name }) => {
    tried.push(name);
    return { isSkipped: false, items: 1, done: 1, bad: 0 };
  });
  let isLate = false;
  setTimeout(() => {
    isLate = true;
  }, 700);
  await finish({ engine: noting, isUntilEmpty: false, ...until(() => isLate) });
  expect(tried).toEqual([]);
  expect(await queue.status()).toMatchObject({ isPaused: true, waiting: 5 });
  expect(await queue.drain()).toBe(5);
  await queue.resume();
  expect(await queue.status()).toMatchObject({ isPaused: false, waiting: 0 });
});

test("says why the queue cannot be used, without the password", async () => {
  await expect(JobQueue.open("redis://:secret@127.0.0.1:1")).rejects.toThrow(
    "The queue at redis://127.0.0.1:1 cannot be used: ECONNREFUSED. Is Redis or Valkey running there?",
  );
  await expect(JobQueue.open("http://:secret@host")).rejects.toThrow(
    'Expected the queue\'s address as redis://HOST:6379, or rediss://HOST:6379 with TLS, got "http://host"',
  );
});
