// One replica's access to the shared queue. Requests wait in a list per API key (scripts.ts). A BullMQ job is only a ticket, the right to run one
// request; which one is decided when the ticket is taken. This gives fair turns between keys, which BullMQ does not have, together with
// BullMQ's renewed locks and its takeover of jobs whose replica has died.

import { createHash, randomUUID } from "node:crypto";
import type { Queue } from "bullmq";
import type { Redis } from "ioredis";
import { connectRedis, loadBull } from "../../redis/redis.ts";
import { EngineError, type EngineErrorCode, type EngineEvent, type EngineRequest } from "../protocol.ts";
import { Packer, packError } from "./pack.ts";
import { type ScriptName, scripts } from "./scripts.ts";
import { StreamReader } from "./stream-reader.ts";

/** Texts and drawings have separate tickets: drawings take long, and texts should not wait for them. */
export const kinds = ["text", "draw"] as const;
export type Kind = (typeof kinds)[number];

export function kindOf({ kind }: EngineRequest): Kind {
  return kind === "imagine" || kind === "edit" || kind === "reconstruct" ? "draw" : "text";
}

export interface BrokerOptions {
  readonly url: string;
  /** Replicas of one model share a queue. */
  readonly model: string;
  /** A replica that is silent for so long counts as dead. */
  readonly lockMs: number;
  /** How long the events of retryable requests are kept. */
  readonly keepMs: number;
  /** Maximum number of waiting requests, over all replicas. */
  readonly limit: number;
}

export interface Taken {
  readonly id: string;
  /** Counted from 1. */
  readonly attempt: number;
  readonly deadlineMs: number;
  readonly key: string;
  /** The replica that holds the client's connection. */
  readonly front: string;
  readonly request: EngineRequest;
}

export interface Fleet {
  readonly replicas: number;
  readonly slots: number;
  readonly waiting: number;
  readonly open: number;
  /** Since the queue was made. */
  readonly answered: Readonly<Record<Kind, number>>;
}

/** A request that brings down one replica after another is given up. */
export const MOST_ATTEMPTS = 3;
/** How long the events of a request without a key stay after its end. */
const EVENTS_MS = 60_000;
/** How long to wait for Redis. */
const ANSWER_MS = 5000;
const PREFIX = "kelix";

type Argument = string | number | Buffer;

export class Broker {
  readonly name = randomUUID();
  readonly prefix: string;
  readonly redis: Redis;
  readonly streams: StreamReader;
  readonly #options: BrokerOptions;
  readonly #packer: Packer;
  readonly #listener: Redis;
  readonly #queues: Readonly<Record<Kind, Queue>>;

  private constructor(
    options: BrokerOptions,
    prefix: string,
    packer: Packer,
    redis: Redis,
    reader: Redis,
    listener: Redis,
    queues: Readonly<Record<Kind, Queue>>,
  ) {
    this.#options = options;
    this.prefix = prefix;
    this.#packer = packer;
    this.redis = redis;
    this.streams = new StreamReader(reader, redis, `${prefix}wake:${this.name}`);
    this.#listener = listener;
    this.#queues = queues;
  }

  /** Throws a FetchError if Redis cannot be reached, and an InputError for an invalid address. */
  static async open(options: BrokerOptions): Promise<Broker> {
    const { Queue } = await loadBull();
    const packer = await Packer.open();
    const connect = () => connectRedis(options.url, { maxRetriesPerRequest: null });
    const [redis, reader, listener] = [await connect(), await connect(), await connect()];
    for (const [name, lua] of Object.entries(scripts)) redis.defineCommand(commandOf(name), { numberOfKeys: 0, lua });
    const queue = (kind: Kind) => {
      const queue = new Queue(queueName(options.model, kind), { connection: redis, prefix: PREFIX });
      queue.on("error", () => undefined); // the failing call reports it too
      return queue;
    };
    const prefix = `${PREFIX}:serve:${options.model}:`;
    const queues = { text: queue("text"), draw: queue("draw") };
    return new Broker(options, prefix, packer, redis, reader, listener, queues);
  }

  get isReachable(): boolean {
    return this.redis.status === "ready";
  }

  /** Name and prefix of BullMQ's queue for one kind of ticket. */
  queue(kind: Kind): { readonly name: string; readonly prefix: string } {
    return { name: this.#queues[kind].name, prefix: PREFIX };
  }

  eventsKey(id: string): string {
    return `${this.prefix}e:${id}`;
  }

  /**
   * Adds a request to the queue unless it is there. `mayReturn`: the work is finished even if nobody reads it, and its events are kept.
   * Throws an EngineError if Redis is unreachable. A full queue is reported through events, since it may be another request that is evicted.
   */
  async admit(id: string, request: EngineRequest, key: string, mayReturn: boolean, deadlineMs: number): Promise<void> {
    if (!this.isReachable) throw unavailable();
    const kind = kindOf(request);
    const { limit, keepMs } = this.#options;
    const keep = mayReturn ? 1 : 0;
    const ttl = mayReturn ? keepMs : EVENTS_MS;
    const payload = this.#packer.pack(request);
    await this.#inTime(async () => {
      const state = await this.call(
        "admit",
        id,
        kind,
        key,
        this.name,
        keep,
        Math.ceil(deadlineMs),
        ttl,
        limit,
        payload,
      );
      if (state !== "waiting") return;
      const own = { jobId: id, attempts: 1000, backoff: { type: "fixed", delay: 500 } };
      await this.#queues[kind].add("ticket", {}, { ...own, removeOnComplete: true, removeOnFail: true });
    });
  }

  /** The request for a ticket; undefined if none is left. */
  async take(kind: Kind, ticket: string, owner: string): Promise<Taken | undefined> {
    const found = (await this.#callBuffer("take", kind, ticket, owner, MOST_ATTEMPTS)) as
      | [Buffer, number, number, Buffer, Buffer, Buffer]
      | null;
    if (!found) return undefined;
    const [id, attempt, deadlineMs, key, front, payload] = found;
    const request = this.#packer.unpack<EngineRequest>(payload);
    return { id: String(id), attempt, deadlineMs, key: String(key), front: String(front), request };
  }

  /** Whether the owner still owns the request. */
  async publish(id: string, owner: string, event: EngineEvent): Promise<boolean> {
    const isLast = event.type === "end" ? 1 : 0;
    return (await this.call("publish", id, owner, "e", this.#packer.pack(event), isLast)) === 1;
  }

  async publishError(id: string, owner: string, error: unknown): Promise<void> {
    await this.call("publish", id, owner, "x", this.#packer.pack(packError(error)), 1);
  }

  /** The events of an answer that were already sent. */
  async sent(id: string): Promise<EngineEvent[]> {
    const entries = (await this.redis.xrangeBuffer(this.eventsKey(id), "-", "+")) as [Buffer, Buffer[]][];
    return entries.flatMap(([, fields]) => {
      const at = fields.findIndex((field, i) => i % 2 === 0 && String(field) === "e");
      return at < 0 ? [] : [this.#packer.unpack<EngineEvent>(fields[at + 1]!)];
    });
  }

  unpack: Packer["unpack"] = (bytes) => this.#packer.unpack(bytes);

  /** Ends a request and sends its reader the code, if given. Returns whether it was still open. */
  async cancel(id: string, code: EngineErrorCode | "" = "", onlyWaiting = false): Promise<boolean> {
    return (await this.call("cancel", id, code, onlyWaiting ? 1 : 0)) === 1;
  }

  async isWanted(id: string, owner: string): Promise<boolean> {
    return (await this.call("wanted", id, owner)) === 1;
  }

  async isKnown(id: string): Promise<boolean> {
    return (await this.redis.exists(`${this.prefix}r:${id}`)) === 1;
  }

  /** Calls back with the id of every cancelled request. */
  async onCancel(listen: (id: string) => void): Promise<void> {
    this.#listener.on("message", (_: string, id: string) => listen(id));
    await this.#listener.subscribe(`${this.prefix}cancel`);
  }

  /** Heartbeat: this replica is alive and has so many slots. */
  async beat(slots: number): Promise<Fleet> {
    const found = (await this.call("beat", this.name, this.#options.lockMs, slots)) as number[];
    const [replicas = 0, all = 0, waiting = 0, open = 0, text = 0, draw = 0] = found;
    return { replicas, slots: all, waiting, open, answered: { text, draw } };
  }

  async leave(): Promise<void> {
    await this.call("leave", this.name);
  }

  async close(): Promise<void> {
    this.streams.close();
    this.#listener.disconnect();
    await Promise.all(kinds.map((kind) => this.#queues[kind].close().catch(() => undefined)));
    this.redis.disconnect();
  }

  call(name: ScriptName, ...args: readonly Argument[]): Promise<unknown> {
    return this.#command(commandOf(name), args);
  }

  #callBuffer(name: ScriptName, ...args: readonly Argument[]): Promise<unknown> {
    return this.#command(`${commandOf(name)}Buffer`, args);
  }

  #command(name: string, args: readonly Argument[]): Promise<unknown> {
    // ioredis adds a method for each defined command.
    const commands = this.redis as unknown as Record<string, (...args: readonly Argument[]) => Promise<unknown>>;
    return commands[name]!(this.prefix, ...args);
  }

  async #inTime<T>(work: () => Promise<T>): Promise<T> {
    let timer: NodeJS.Timeout | undefined;
    const late = new Promise<never>((_, reject) => {
      timer = setTimeout(() => reject(unavailable()), ANSWER_MS);
    });
    try {
      return await Promise.race([work(), late]);
    } catch (cause) {
      throw cause instanceof EngineError ? cause : unavailable();
    } finally {
      clearTimeout(timer);
    }
  }
}

export function unavailable(): EngineError {
  return new EngineError(
    "queue_unavailable",
    "The queue that this server shares with others cannot be reached; try again soon",
    2,
  );
}

function commandOf(name: string): string {
  return `kelix_${name}`;
}

/** BullMQ allows no colon in a queue name; a model id may contain one. */
function queueName(model: string, kind: Kind): string {
  return `serve-${kind}-${createHash("sha256").update(model).digest("hex").slice(0, 12)}`;
}
