// A worker takes shards from the queue, one at a time, until it is told to stop. BullMQ renews its lock on a shard while the engine
// works. When a worker dies, the lock expires and another worker takes the shard.

import { hostname } from "node:os";
import { setTimeout as sleep } from "node:timers/promises";
import type { Job } from "bullmq";
import type { Redis } from "ioredis";
import { connectRedis, explainRedis, loadBull } from "../redis/redis.ts";
import type { ShardEngine } from "./engine.ts";
import { PREFIX, QUEUE, TOTALS } from "./queue-names.ts";
import { Rate } from "./rate.ts";
import { parseShard, type Shard, ShardError, type ShardReport } from "./shard.ts";
import { forgetState, tellState } from "./worker-state.ts";

export interface WorkerEvents {
  /** News, as a sentence. */
  readonly log?: (line: string) => void;
  /** Called after each attempt, with a report if it succeeded. */
  readonly onShard?: (shard: Shard, seconds: number, report: ShardReport | undefined) => void;
}

export interface WorkerOptions extends WorkerEvents {
  readonly engine: ShardEngine;
  /** A worker that has been silent for this long is considered dead. */
  readonly lockMs?: number;
  /** Ends once nothing is waiting and no worker is busy. */
  readonly isUntilEmpty?: boolean;
  readonly signal: AbortSignal;
}

const LOCK_MS = 30_000;
const BEAT_MS = 2000;
const CLOSE_MS = 30_000;
/** The longest pause while a storage cannot be reached. */
const MAX_PAUSE_MS = 60_000;
/**
 * How often a shard may lose its worker. That is not the shard's fault: when the model crashes, the engine's process ends, not the
 * worker, and that counts as an attempt.
 */
const MAX_STALLED = 1000;

/** Works until `signal` is aborted, which returns an unfinished shard to the queue, or the queue is empty. Throws if Redis cannot be reached. */
export async function work(url: string, options: WorkerOptions): Promise<void> {
  const { engine, lockMs = LOCK_MS, isUntilEmpty = false, signal, log = () => {}, onShard = () => {} } = options;
  const { Worker, WaitingError, UnrecoverableError } = await loadBull();
  const redis = await connectRedis(url, { maxRetriesPerRequest: null });
  const connection = await connectRedis(url, { maxRetriesPerRequest: null });
  const state = { name: `${hostname()}:${process.pid}`, shards: 0, images: 0, failed: 0 };
  const rate = new Rate();
  let current: { readonly name: string; readonly task: string; done: number; total: number } | undefined;
  let outages = 0;
  let trouble: string | undefined;

  /** Waits, longer each time, and returns the shard to the queue without counting an attempt. */
  async function sitOut(name: string, reason: string, baseMs: number): Promise<void> {
    const pauseMs = Math.min(MAX_PAUSE_MS, baseMs * 2 ** outages++);
    trouble = reason;
    log(`${name}: ${reason}; no attempt is counted, and it goes back into the queue in ${pauseMs / 1000} s`);
    await sleep(pauseMs, undefined, { signal }).catch(() => undefined);
    trouble = undefined;
  }

  async function doShard(job: Job, token: string | undefined): Promise<ShardReport> {
    const startedMs = performance.now();
    let shard: Shard | undefined;
    try {
      shard = parseShard(job.data);
      const { name, task } = shard;
      current = { name, task, done: 0, total: 0 };
      const report = await engine.run(shard, {
        signal,
        onItem(done, total) {
          rate.add(done - (current?.done ?? 0));
          current = { name, task, done, total };
        },
      });
      outages = 0;
      onShard(shard, (performance.now() - startedMs) / 1000, report);
      return report;
    } catch (error) {
      const { message, kind } = ShardError.of(error);
      const isOutage = kind === "outage" && !signal.aborted;
      if (isOutage) await sitOut(shard?.name ?? "a shard", message, pauseOf(job));
      if (isOutage || signal.aborted) {
        await job.moveToWait(token);
        throw new WaitingError();
      }
      if (shard) onShard(shard, (performance.now() - startedMs) / 1000, undefined);
      throw kind === "final" ? new UnrecoverableError(message) : new Error(message);
    } finally {
      current = undefined;
    }
  }

  const worker = new Worker(QUEUE, doShard, {
    connection,
    prefix: PREFIX,
    name: state.name,
    lockDuration: lockMs,
    stalledInterval: lockMs,
    maxStalledCount: MAX_STALLED,
    autorun: false,
  });
  let isReachable = true;
  worker.on("error", (error) => {
    if (/\block\b/i.test(error.message)) {
      log(
        "a lock expired while Redis was out of reach; another worker may take the shard as well, and writes the same",
      );
      return;
    }
    if (isReachable && !signal.aborted) log(explainRedis(url, error).message);
    isReachable = false;
  });
  worker.on("active", () => {
    isReachable = true;
  });
  worker.on("completed", (job, report: ShardReport) => {
    state.shards++;
    state.images += report.done;
    const { name } = job.data as Shard;
    log(report.isSkipped ? `${name}: was done before` : `${name}: ${report.items} images, ${report.bad} bad`);
    void count(redis, report);
  });
  worker.on("failed", (job, error) => {
    state.failed++;
    const { name = "a shard" } = (job?.data ?? {}) as Partial<Shard>;
    const isDead = job?.finishedOn !== undefined;
    log(`${name}: ${error.message}${isDead ? "; it is dead" : "; it is tried again"}`);
  });
  worker.on("stalled", () => log("a shard of a dead worker is taken again"));

  const beat = setInterval(() => {
    const shard = current && { ...current };
    void tellState(redis, { ...state, imagesPerSecond: rate.perSecond(), trouble, ...(shard && { shard }) }).catch(
      () => undefined,
    );
  }, BEAT_MS);
  const running = worker.run();
  try {
    await Promise.race([
      aborted(signal),
      running,
      ...(isUntilEmpty ? [empty(redis, () => current === undefined)] : []),
    ]);
  } finally {
    clearInterval(beat);
    // Without Redis the shard cannot be returned. Its lock expires, and another worker takes it.
    await Promise.race([worker.close(), sleep(CLOSE_MS, undefined, { ref: false })]);
    await engine.close();
    await forgetState(redis, state.name).catch(() => undefined);
    redis.disconnect();
    connection.disconnect();
  }
}

async function count(redis: Redis, { done, bad }: ShardReport): Promise<void> {
  await redis
    .multi()
    .hincrby(TOTALS, "shards", 1)
    .hincrby(TOTALS, "images", done + bad)
    .hincrby(TOTALS, "bad", bad)
    .exec()
    .catch(() => undefined);
}

/** The pause before a second try, as the queue was opened with. */
function pauseOf({ opts: { backoff } }: Job): number {
  return (typeof backoff === "number" ? backoff : backoff?.delay) ?? MAX_PAUSE_MS;
}

function aborted(signal: AbortSignal): Promise<void> {
  return new Promise((resolve) => {
    if (signal.aborted) resolve();
    signal.addEventListener("abort", () => resolve(), { once: true });
  });
}

const LOOK_MS = 500;

/** Resolves when no shard is waiting or being processed by any worker. */
async function empty(redis: Redis, isIdle: () => boolean): Promise<void> {
  const key = (name: string) => `${PREFIX}:${QUEUE}:${name}`;
  for (let looks = 0; looks < 2; ) {
    await sleep(LOOK_MS, undefined, { ref: false });
    const counts = await Promise.all([redis.llen(key("wait")), redis.llen(key("active")), redis.zcard(key("delayed"))]);
    looks = isIdle() && counts.every((count) => count === 0) ? looks + 1 : 0;
  }
}
