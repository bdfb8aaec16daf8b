// Measures what the simulation needs on this machine: what an image of each task costs with kelix-nano, and what a shard and a second of a
// worker cost Redis, by a real queue with the real worker. CPU seconds are counted, since other programs may share the machine.

import { mkdtemp, readFile, rm, stat } from "node:fs/promises";
import { cpus, tmpdir } from "node:os";
import { join } from "node:path";
import { setTimeout as sleep } from "node:timers/promises";
import type { Redis } from "ioredis";
import type { ShardEngine } from "../../src/jobs/engine.ts";
import { loadShardModel } from "../../src/jobs/load-model.ts";
import { JobQueue } from "../../src/jobs/queue.ts";
import { runShard } from "../../src/jobs/run-shard.ts";
import { parseShard, type TaskName } from "../../src/jobs/shard.ts";
import { work } from "../../src/jobs/worker.ts";
import { connectRedis } from "../../src/redis/redis.ts";
import { version } from "../../src/version.ts";
import { startRedis } from "../../test/redis-server.ts";
import { writeShard } from "../../test/shard-files.ts";

export interface TaskCost {
  /** Of one core. */
  readonly secondsPerImage: number;
  readonly bytesPerImage: number;
}

/** What Redis does. */
export interface RedisCost {
  /** Commands, those within scripts included. */
  readonly commands: number;
  readonly bytesIn: number;
  readonly bytesOut: number;
  readonly cpuSeconds: number;
}

export interface Measured {
  readonly machine: string;
  readonly images: Readonly<Record<"tokenize" | "describe" | "reconstruct", TaskCost>>;
  readonly manifestBytes: number;
  /** From nothing to a loaded model, of one core. */
  readonly startSeconds: number;
  /** Submitting a shard, taking it, and reporting that it is done. */
  readonly perShard: RedisCost;
  /** Renewing locks, looking for dead workers and telling the state, each second of a busy worker. */
  readonly perWorkerSecond: RedisCost;
  /** Of a shard that waits. */
  readonly redisBytesPerShard: number;
}

const IMAGES = 48;
const SHARDS = 2000;
const BUSY_MS = 60_000;

export async function measure(log: (line: string) => void): Promise<Measured> {
  const folder = await mkdtemp(join(tmpdir(), "kelix-simulate-"));
  try {
    log("images: tokenize, describe, reconstruct");
    const costs = await measureTasks(folder);
    log("the queue: shards");
    const perShard = await measureShards();
    log(`the queue: a worker for ${BUSY_MS / 1000} s`);
    const perWorkerSecond = await measureWorker();
    const machine = `${cpus()[0]?.model ?? process.arch}, Node ${process.versions.node}`;
    return { machine, ...costs, ...perShard, perWorkerSecond };
  } finally {
    await rm(folder, { recursive: true });
  }
}

function cpuSeconds(): number {
  const { user, system } = process.cpuUsage();
  return (user + system) / 1e6;
}

async function measureTasks(folder: string) {
  const model = await loadShardModel("kelix-nano", { threads: 1 });
  // This process has done little else yet.
  const startSeconds = cpuSeconds();
  const few = await writeShard(join(folder, "few.tar"), 4);
  const many = await writeShard(join(folder, "many.tar"), 4 + IMAGES);
  const run = async (task: TaskName, input: string, name: string) => {
    const shard = parseShard({ task, options: {}, input, name, output: join(folder, task), model: "kelix-nano" });
    const before = cpuSeconds();
    await runShard(shard, { model, version });
    return cpuSeconds() - before;
  };
  const cost = async (task: TaskName, suffix: string): Promise<TaskCost> => {
    await run(task, few, "warm");
    const [small, large] = [await run(task, few, "few"), await run(task, many, "many")];
    const bytes = async (name: string) => (await stat(join(folder, task, `${name}${suffix}`))).size;
    return {
      secondsPerImage: (large - small) / IMAGES,
      bytesPerImage: ((await bytes("many")) - (await bytes("few"))) / IMAGES,
    };
  };
  const images = {
    tokenize: await cost("tokenize", ".safetensors"),
    describe: await cost("describe", ".jsonl"),
    reconstruct: await cost("reconstruct", ".tar"),
  };
  const manifest = await readFile(join(folder, "tokenize/many.manifest.json"));
  await model.kelix.dispose();
  return { images, manifestBytes: manifest.length, startSeconds };
}

/** A job as it would be with storage that speaks S3. */
function shardNumber(i: number) {
  const name = `${i}`.padStart(6, "0");
  const places = { input: `s3://corpus/photos/${name}.tar`, output: "s3://corpus/codes/v1" };
  return parseShard({ task: "tokenize", options: {}, ...places, name, model: "kelix-nano" });
}

async function measureShards() {
  const { redis, url, close } = await openRedis();
  const queue = await JobQueue.open(url);
  const [empty, before] = [await memoryBytes(redis), await readCost(redis)];
  await queue.submit(Array.from({ length: SHARDS }, (_, i) => shardNumber(i)));
  const full = await memoryBytes(redis);
  await work(url, { engine: instantEngine(), isUntilEmpty: true, signal: new AbortController().signal });
  const perShard = perUnit(before, await readCost(redis), SHARDS);
  await queue.close();
  await close();
  return { perShard, redisBytesPerShard: Math.round((full - empty) / SHARDS) };
}

async function measureWorker(): Promise<RedisCost> {
  const { redis, url, close } = await openRedis();
  const queue = await JobQueue.open(url);
  const rest = await costOf(redis, BUSY_MS / 2);
  await queue.submit([shardNumber(0)]);
  const stop = new AbortController();
  const working = work(url, { engine: busyEngine(), signal: stop.signal });
  await sleep(2000);
  const cost = await costOf(redis, BUSY_MS);
  stop.abort();
  await working;
  await queue.close();
  await close();
  // Redis looks after itself without any worker too.
  return { ...cost, cpuSeconds: Math.max(0, cost.cpuSeconds - rest.cpuSeconds) };
}

/** A second, on average over `ms`. */
async function costOf(redis: Redis, ms: number): Promise<RedisCost> {
  const before = await readCost(redis);
  await sleep(ms);
  return perUnit(before, await readCost(redis), ms / 1000);
}

/** Does nothing, so that what is left is the queue. */
function instantEngine(): ShardEngine {
  return { run: async () => ({ isSkipped: false, items: 1, done: 1, bad: 0 }), close: async () => {} };
}

/** Works until it is stopped. */
function busyEngine(): ShardEngine {
  return {
    run: (_, { signal }) =>
      new Promise((_resolve, reject) => signal.addEventListener("abort", () => reject(new Error("stopped")))),
    close: async () => {},
  };
}

async function openRedis() {
  const server = await startRedis();
  const redis = await connectRedis(server.url);
  const close = async () => {
    redis.disconnect();
    await server.close();
  };
  return { redis, url: server.url, close };
}

async function memoryBytes(redis: Redis): Promise<number> {
  return numberIn(await redis.info("memory"), "used_memory");
}

async function readCost(redis: Redis): Promise<RedisCost> {
  const [commands, stats, cpu] = [await redis.info("commandstats"), await redis.info("stats"), await redis.info("cpu")];
  return {
    commands: [...commands.matchAll(/:calls=(\d+)/g)].reduce((sum, [, calls]) => sum + Number(calls), 0),
    bytesIn: numberIn(stats, "total_net_input_bytes"),
    bytesOut: numberIn(stats, "total_net_output_bytes"),
    cpuSeconds: numberIn(cpu, "used_cpu_user") + numberIn(cpu, "used_cpu_sys"),
  };
}

function numberIn(info: string, name: string): number {
  return Number(new RegExp(`^${name}:([\\d.]+)`, "m").exec(info)![1]);
}

function perUnit(before: RedisCost, after: RedisCost, units: number): RedisCost {
  const each = (key: keyof RedisCost) => Number(((after[key] - before[key]) / units).toPrecision(4));
  return {
    commands: each("commands"),
    bytesIn: each("bytesIn"),
    bytesOut: each("bytesOut"),
    cpuSeconds: each("cpuSeconds"),
  };
}
