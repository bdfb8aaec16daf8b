// Reads many Redis streams over one blocking connection. It may read an entry twice, but delivers it once.

import { setTimeout as sleep } from "node:timers/promises";
import type { Redis } from "ioredis";

/** The fields of an entry by name. */
export type Entry = ReadonlyMap<string, Buffer>;

const WAIT_MS = 5000;
const PAUSE_MS = 200;
const CHUNK = 256;

export class Subscription {
  readonly key: string;
  readonly #onClose: () => void;
  #entries: Entry[] = [];
  /** The id of the last entry delivered. */
  #last = "0-0";
  #failure: { readonly error: unknown } | undefined;
  #wake: (() => void) | undefined;

  constructor(key: string, onClose: () => void) {
    this.key = key;
    this.#onClose = onClose;
  }

  offer(id: string, entry: Entry): void {
    if (!isAfter(id, this.#last)) return;
    this.#last = id;
    this.#entries.push(entry);
    this.#wake?.();
  }

  /** Makes the next read throw, whatever is buffered. */
  fail(error: unknown): void {
    this.#failure ??= { error };
    this.#wake?.();
  }

  /** The next entry; undefined if none arrives in time. Throws the stream's failure. */
  async next(timeoutMs?: number): Promise<Entry | undefined> {
    if (!this.#failure && this.#entries.length === 0) {
      await new Promise<void>((resolve) => {
        const timer = timeoutMs === undefined ? undefined : setTimeout(resolve, timeoutMs);
        this.#wake = () => {
          clearTimeout(timer);
          resolve();
        };
      });
      this.#wake = undefined;
    }
    if (this.#failure) throw this.#failure.error;
    return this.#entries.shift();
  }

  close(): void {
    this.#onClose();
  }
}

interface Stream {
  /** The id of the last entry read. */
  last: string;
  readonly readers: Set<Subscription>;
}

export class StreamReader {
  /** A dedicated connection, blocked most of the time. */
  readonly #redis: Redis;
  /** A connection for other commands. */
  readonly #writer: Redis;
  /** A stream whose entries interrupt the blocking read, so that it includes a new subscription. */
  readonly #wakeKey: string;
  readonly #streams = new Map<string, Stream>();
  #isClosed = false;

  constructor(redis: Redis, writer: Redis, wakeKey: string) {
    this.#redis = redis;
    this.#writer = writer;
    this.#wakeKey = wakeKey;
    void this.#loop();
  }

  /** Subscribes to a stream from its beginning. The stream need not exist yet. */
  subscribe(key: string): Subscription {
    const subscription = new Subscription(key, () => {
      const stream = this.#streams.get(key);
      stream?.readers.delete(subscription);
      if (stream?.readers.size === 0) this.#streams.delete(key);
    });
    const readers = this.#streams.get(key)?.readers ?? new Set();
    readers.add(subscription);
    this.#streams.set(key, { last: "0-0", readers });
    this.#wake();
    return subscription;
  }

  close(): void {
    this.#isClosed = true;
    this.#redis.disconnect();
  }

  #wake(): void {
    this.#writer
      .multi()
      .xadd(this.#wakeKey, "MAXLEN", 1, "*", "w", "1")
      .pexpire(this.#wakeKey, 60_000)
      .exec()
      .catch(() => undefined);
  }

  async #loop(): Promise<void> {
    let woken = "0-0";
    while (!this.#isClosed) {
      const streams = new Map(this.#streams);
      const keys = [this.#wakeKey, ...streams.keys()];
      const after = [woken, ...[...streams.values()].map(({ last }) => last)];
      try {
        const found = await this.#redis.xreadBuffer("COUNT", CHUNK, "BLOCK", WAIT_MS, "STREAMS", ...keys, ...after);
        for (const [name, entries] of (found ?? []) as [Buffer, [Buffer, Buffer[]][]][]) {
          const key = String(name);
          // A new subscriber needs the beginning too; the next round reads it.
          if (key !== this.#wakeKey && this.#streams.get(key) !== streams.get(key)) continue;
          for (const [rawId, fields] of entries) {
            const id = String(rawId);
            if (key === this.#wakeKey) woken = id;
            else deliver(streams.get(key)!, id, fields);
          }
        }
      } catch {
        await sleep(PAUSE_MS, undefined, { ref: false }); // Redis is unreachable; the connection is restored by itself
      }
    }
  }
}

function deliver(stream: Stream, id: string, fields: readonly Buffer[]): void {
  stream.last = id;
  const entry = new Map<string, Buffer>();
  for (let i = 0; i < fields.length; i += 2) entry.set(String(fields[i]), fields[i + 1]!);
  for (const reader of [...stream.readers]) reader.offer(id, entry);
}

/** Whether one stream id, "MILLISECONDS-NUMBER", comes after another. */
function isAfter(a: string, b: string): boolean {
  const [ms = 0, number = 0] = a.split("-").map(Number);
  const [otherMs = 0, otherNumber = 0] = b.split("-").map(Number);
  return ms > otherMs || (ms === otherMs && number > otherNumber);
}
