// Connections to Redis or Valkey. An address may contain a password, which messages leave out.

import type { Redis, RedisOptions } from "ioredis";
import { FetchError, InputError, quote } from "../errors.ts";
import { publicUrl } from "../files/safe-url.ts";
import { needPackage } from "../runtime/optional-package.ts";

const PACKAGES = "bullmq@6 ioredis@6";
const CONNECT_MS = 5000;
const LONGEST_PAUSE_MS = 5000;

export function loadBull(): Promise<typeof import("bullmq")> {
  return needPackage(() => import("bullmq"), "The queue", PACKAGES);
}

/** Opens a connection. Throws an InputError for an invalid address, and a FetchError if there is no Redis. */
export async function connectRedis(url: string, options: RedisOptions = {}): Promise<Redis> {
  if (!/^rediss?:\/\/[^/]/i.test(url) || !URL.canParse(url))
    throw new InputError(
      `Expected the queue's address as redis://HOST:6379, or rediss://HOST:6379 with TLS, got ${quote(publicUrl(url))}`,
      {
        code: "invalid_option",
      },
    );
  const ioredis = await needPackage(() => import("ioredis"), "The queue", PACKAGES);
  let isOpen = false;
  const redis: Redis = new ioredis.Redis(url, {
    lazyConnect: true,
    connectTimeout: CONNECT_MS,
    maxRetriesPerRequest: 3,
    ...options,
    // The first attempt fails at once; a lost connection is retried forever. Copies, as BullMQ makes them, end with this one.
    retryStrategy: (tries) => (isOpen && redis.status !== "end" ? Math.min(100 * 2 ** tries, LONGEST_PAUSE_MS) : null),
  });
  let cause: unknown;
  redis.on("error", (error) => {
    cause = error;
  });
  try {
    await redis.connect();
    await redis.ping();
  } catch (error) {
    redis.disconnect();
    throw explainRedis(url, cause ?? error);
  }
  isOpen = true;
  return redis;
}

/** The error of Redis or the network as one sentence. */
export function explainRedis(url: string, cause: unknown): FetchError {
  const { message = "", code = "" } = (cause ?? {}) as NodeJS.ErrnoException;
  const why = /WRONGPASS|NOAUTH|invalid password/i.test(message)
    ? "it wants another user name or password, which stand in the address before an @"
    : `${/^E[A-Z]+$/.test(code) ? code : "no answer"}. Is Redis or Valkey running there?`;
  return new FetchError(`The queue at ${publicUrl(url)} cannot be used: ${why}`, { cause, canRetry: true });
}
