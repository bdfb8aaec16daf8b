// Stored answers for retried requests (Idempotency-Key), shared by all replicas. The parts of an answer are a Redis stream.

import { randomUUID } from "node:crypto";
import {
  type AnswerLimits,
  AnswerLost,
  type AnswerPart,
  type AnswerStore,
  type AnswerWriter,
  type Claim,
  ENTRY_BYTES,
} from "../http/answers.ts";
import { type Broker, unavailable } from "./broker.ts";

/** An unfinished answer is forgotten after this time; no request may take longer. */
const WRITING_MS = 24 * 3600 * 1000;
/** How often a reader checks that the writer is alive. */
const LOOK_MS = 1000;

export class RedisAnswers implements AnswerStore {
  readonly #broker: Broker;
  readonly #limits: AnswerLimits;

  constructor(broker: Broker, limits: AnswerLimits) {
    this.#broker = broker;
    this.#limits = limits;
  }

  /** Throws an EngineError if Redis is unreachable. */
  async claim(name: string, fingerprint: string): Promise<Claim> {
    const broker = this.#broker;
    if (!broker.isReachable) throw unavailable();
    const token = randomUUID();
    const found = String(await broker.call("claim", name, fingerprint, broker.name, token, WRITING_MS));
    if (found === "other") return { state: "other" };
    if (found === "first") return { state: "first", writer: this.#writer(name, token) };
    return { state: "again", parts: this.#read(name, found) };
  }

  #writer(name: string, token: string): AnswerWriter {
    const { redis } = this.#broker;
    const key = this.#partsKey(token);
    const { keepMs, keepBytes } = this.#limits;
    let bytes = ENTRY_BYTES;
    const end = (ms: number) => this.#broker.call("endAnswer", name, token, bytes, ms, keepBytes);
    return {
      write: async (part) => {
        if (part.type === "body") bytes += part.bytes.byteLength;
        const { status, headers } = part.type === "head" ? part : {};
        const field = part.type === "head" ? JSON.stringify({ status, headers }) : Buffer.from(part.bytes);
        await redis.xadd(key, "*", part.type, field);
        if (part.type === "head") await redis.pexpire(key, WRITING_MS);
      },
      keep: async (workIds) => {
        await end(Math.ceil(keepMs));
        const keys = workIds.flatMap((id) => [`${this.#broker.prefix}r:${id}`, this.#broker.eventsKey(id)]);
        if (keys.length > 0) await redis.unlink(...keys);
      },
      forget: async () => void (await end(0)),
    };
  }

  async *#read(name: string, token: string): AsyncGenerator<AnswerPart, void, void> {
    const subscription = this.#broker.streams.subscribe(this.#partsKey(token));
    let hasBegun = false;
    try {
      while (true) {
        const entry = await subscription.next(LOOK_MS);
        if (!entry) {
          if (!this.#broker.isReachable || (await this.#broker.call("isWritten", name, token)) === 1) continue;
          if (hasBegun) throw new AnswerLost("The server that wrote this answer has died");
          return;
        }
        const [head, bytes] = [entry.get("head"), entry.get("body")];
        hasBegun = true;
        if (head) yield { type: "head", ...(JSON.parse(String(head)) as Omit<AnswerPart & { type: "head" }, "type">) };
        else if (bytes) yield { type: "body", bytes };
        else return;
      }
    } finally {
      subscription.close();
    }
  }

  #partsKey(token: string): string {
    return `${this.#broker.prefix}p:${token}`;
  }
}
