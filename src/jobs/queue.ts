// The queue of shards in Redis, for submitting and watching; BullMQ maintains it. A shard's id is a hash of its job, so that the same
// shard is not queued twice.

import { createHash } from "node:crypto";
import type { Queue } from "bullmq";
import type { Redis } from "ioredis";
import { connectRedis, loadBull } from "../redis/redis.ts";
import { PREFIX, QUEUE, TOTALS } from "./queue-names.ts";
import type { Shard } from "./shard.ts";
import { readWorkers, type WorkerState } from "./worker-state.ts";

/** After so many failures a shard is dead: it waits for a person, and does not hold up the others. */
const ATTEMPTS = 3;
const BACKOFF_MS = 5000;
/** Jobs per round trip. */
const CHUNK = 1000;

export interface QueueStatus {
  readonly isPaused: boolean;
  /** Shards that are waiting, being processed, waiting for another try, dead. */
  readonly waiting: number;
  readonly active: number;
  readonly delayed: number;
  readonly dead: number;
  /** Since the queue was created: shards, their images, and how many of these were bad. */
  readonly done: { readonly shards: number; readonly images: number; readonly bad: number };
  /** Images a second of all workers, over the last minute. */
  readonly imagesPerSecond: number;
  /** Estimated; absent while nothing is known yet. */
  readonly secondsLeft?: number;
  readonly workers: readonly WorkerState[];
}

export interface DeadShard {
  readonly name: string;
  readonly task: string;
  readonly input: string;
  readonly reason: string;
  readonly attempts: number;
}

export class JobQueue {
  readonly #redis: Redis;
  readonly #queue: Queue;

  private constructor(redis: Redis, queue: Queue) {
    this.#redis = redis;
    this.#queue = queue;
  }

  /** `backoffMs` is the pause before a second try, and doubles. Throws a FetchError if Redis cannot be reached. */
  static async open(url: string, { backoffMs = BACKOFF_MS } = {}): Promise<JobQueue> {
    const { Queue } = await loadBull();
    const redis = await connectRedis(url);
    const queue = new Queue(QUEUE, {
      connection: redis,
      prefix: PREFIX,
      defaultJobOptions: {
        attempts: ATTEMPTS,
        backoff: { type: "exponential", delay: backoffMs },
        // Manifests say what is done. Thousands of finished jobs would only fill Redis's memory.
        removeOnComplete: true,
      },
    });
    queue.on("error", () => undefined); // the failing call reports it too
    return new JobQueue(redis, queue);
  }

  /** Puts shards into the queue, except those that are in it or in the dead-letter list. */
  async submit(shards: readonly Shard[]): Promise<{ readonly added: number; readonly known: number }> {
    let known = 0;
    for (let at = 0; at < shards.length; at += CHUNK) {
      const chunk = shards.slice(at, at + CHUNK).map((shard) => ({ shard, id: idOf(shard) }));
      const look = this.#redis.pipeline();
      for (const { id } of chunk) look.exists(this.#queue.toKey(id));
      const found = ((await look.exec()) ?? []).map(([, exists]) => exists === 1);
      known += found.filter(Boolean).length;
      await this.#queue.addBulk(
        chunk
          .filter((_, i) => !found[i])
          .map(({ shard, id }) => ({ name: shard.task, data: shard, opts: { jobId: id } })),
      );
    }
    return { added: shards.length - known, known };
  }

  async status(): Promise<QueueStatus> {
    const counts = await this.#queue.getJobCounts("waiting", "active", "delayed", "failed");
    const totals = await this.#redis.hgetall(TOTALS);
    const done = {
      shards: Number(totals.shards ?? 0),
      images: Number(totals.images ?? 0),
      bad: Number(totals.bad ?? 0),
    };
    const workers = await readWorkers(this.#redis);
    const waiting = counts.waiting ?? 0;
    const delayed = counts.delayed ?? 0;
    const imagesPerSecond = workers.reduce((sum, worker) => sum + worker.imagesPerSecond, 0);
    const current = workers.flatMap(({ shard }) => (shard ? [shard] : []));
    const sizes = [...(done.shards > 0 ? [done.images / done.shards] : []), ...current.map(({ total }) => total)];
    const begun = current.reduce((sum, shard) => sum + shard.total - shard.done, 0);
    const left = begun + ((waiting + delayed) * sizes.reduce((sum, size) => sum + size, 0)) / Math.max(1, sizes.length);
    return {
      isPaused: await this.#queue.isPaused(),
      waiting,
      active: counts.active ?? 0,
      delayed,
      dead: counts.failed ?? 0,
      done,
      imagesPerSecond,
      ...(imagesPerSecond > 0 && { secondsLeft: left / imagesPerSecond }),
      workers,
    };
  }

  /** Lets workers finish their shards, and gives them no more. */
  async pause(): Promise<void> {
    await this.#queue.pause();
  }

  async resume(): Promise<void> {
    await this.#queue.resume();
  }

  /** Removes every shard that no worker has started. Returns how many there were. */
  async drain(): Promise<number> {
    const { waiting, delayed } = await this.status();
    await this.#queue.drain(true);
    return waiting + delayed;
  }

  /** Shards that failed for good, latest first. */
  async dead(limit = 1000): Promise<DeadShard[]> {
    const jobs = await this.#queue.getFailed(0, limit - 1);
    return jobs.map(({ data, failedReason, attemptsMade }) => {
      const { name, task, input } = data as Shard;
      return { name, task, input, reason: failedReason ?? "unknown", attempts: attemptsMade };
    });
  }

  /** Returns dead shards to the queue, once their cause has been repaired. */
  async retryDead(): Promise<void> {
    await this.#queue.retryJobs({ state: "failed" });
  }

  /** Forgets the dead shards. */
  async clearDead(): Promise<void> {
    while ((await this.#queue.clean(0, CHUNK, "failed")).length > 0);
  }

  async close(): Promise<void> {
    await this.#queue.close();
    this.#redis.disconnect();
  }
}

function idOf(shard: Shard): string {
  return `shard-${createHash("sha256").update(JSON.stringify(shard)).digest("hex").slice(0, 32)}`;
}
