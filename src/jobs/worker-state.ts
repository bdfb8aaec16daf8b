// What workers report about themselves: each has a small key in Redis, which expires when the worker falls silent.

import type { Redis } from "ioredis";
import * as z from "zod";
import { PREFIX, QUEUE } from "./queue-names.ts";

const count = z.number().min(0);
const schema = z.object({
  /** HOST:PID */
  name: z.string(),
  shards: count,
  images: count,
  /** Failed attempts. */
  failed: count,
  /** Over the last minute. */
  imagesPerSecond: count,
  /** What it waits for, in a sentence: its shard needs something that cannot be reached. */
  trouble: z.string().optional(),
  shard: z.object({ name: z.string(), task: z.string(), done: count, total: count }).optional(),
});
export type WorkerState = z.output<typeof schema>;

const NAMES = `${PREFIX}:${QUEUE}:workers`;
const keyOf = (name: string) => `${PREFIX}:${QUEUE}:worker:${name}`;
const LIFE_SECONDS = 15;

export async function tellState(redis: Redis, state: WorkerState): Promise<void> {
  await redis.multi().sadd(NAMES, state.name).set(keyOf(state.name), JSON.stringify(state), "EX", LIFE_SECONDS).exec();
}

export async function forgetState(redis: Redis, name: string): Promise<void> {
  await redis.multi().srem(NAMES, name).del(keyOf(name)).exec();
}

/** The states of all live workers, sorted by name. */
export async function readWorkers(redis: Redis): Promise<WorkerState[]> {
  const names = (await redis.smembers(NAMES)).sort();
  if (names.length === 0) return [];
  const texts = await redis.mget(names.map(keyOf));
  const silent = names.filter((_, i) => texts[i] === null);
  if (silent.length > 0) await redis.srem(NAMES, ...silent);
  return texts.flatMap((text) => {
    const { data } = schema.safeParse(text === null ? undefined : JSON.parse(text));
    return data ? [data] : [];
  });
}
