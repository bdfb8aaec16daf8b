// An engine shared by many replicas: each adds its clients' requests to one queue in Redis and runs requests from it. To the HTTP side it is
// an engine like any other.

import { randomUUID } from "node:crypto";
import { setTimeout as sleep } from "node:timers/promises";
import { Gauge, type Registry } from "prom-client";
import { InputError, quote } from "../../errors.ts";
import {
  type Engine,
  EngineError,
  type EngineErrorCode,
  type EngineEvent,
  type EngineRequest,
  type EngineState,
  type ModelCard,
  type RunOptions,
} from "../protocol.ts";
import { Broker, type Fleet } from "./broker.ts";
import { type PackedError, unpackError } from "./pack.ts";
import { Runner } from "./runner.ts";
import type { Entry, Subscription } from "./stream-reader.ts";

export interface QueueEngineOptions {
  /** redis://HOST:6379 */
  readonly url: string;
  /** The replica's local engine, which holds the model. Closed together with this one. */
  readonly engine: Engine;
  /** Concurrent requests of this replica. */
  readonly slots: number;
  /** Maximum number of waiting requests, over all replicas. */
  readonly maxWaiting: number;
  /** Time limit of a request, waiting included. */
  readonly deadlineMs: number;
  /** A replica that is silent for so long counts as dead; 10 seconds if absent. */
  readonly lockMs?: number;
  /** How long the events of retryable requests are kept. */
  readonly keepMs: number;
  readonly log?: (level: "info" | "warn" | "error", message: string, detail?: string) => void;
}

const [LOCK_MS, GRACE_MS, STOP_MS] = [10_000, 30_000, 2000];
/** Heartbeats per `lockMs`. */
const BEATS = 5;
const [LEAST_RETRY_SECONDS, MOST_RETRY_SECONDS] = [1, 60];
/** Weight of the latest request in the moving average of their duration. */
const NEWS = 0.1;

/** A request of a client of this replica. */
interface Own {
  readonly subscription: Subscription;
  /** Whether it continues without its client. */
  readonly mayReturn: boolean;
  /** Whether it is in the queue. */
  isAdmitted: boolean;
}

/** Rejects if Redis cannot be reached. */
export async function openQueueEngine(options: QueueEngineOptions): Promise<QueueEngine> {
  const { url, engine, maxWaiting: limit, keepMs, lockMs = LOCK_MS } = options;
  const broker = await Broker.open({ url, model: engine.models[0]!.id, lockMs, keepMs, limit });
  await broker.beat(0); // otherwise others would take its requests for those of a dead server
  return new QueueEngine(broker, { ...options, lockMs });
}

export class QueueEngine implements Engine {
  readonly broker: Broker;
  readonly #options: QueueEngineOptions & { readonly lockMs: number };
  readonly #runner: Runner;
  readonly #own = new Map<string, Set<Own>>();
  readonly #beat: NodeJS.Timeout;
  #fleet: Fleet = { replicas: 0, slots: 0, waiting: 0, open: 0, answered: { text: 0, draw: 0 } };
  #averageMs = 1000;
  #isStarted = false;
  #closing: Promise<void> | undefined;

  /** Use openQueueEngine. */
  constructor(broker: Broker, options: QueueEngineOptions & { readonly lockMs: number }) {
    const { engine, slots, lockMs, log = () => {} } = options;
    this.broker = broker;
    this.#options = options;
    const both = { text: slots, draw: Math.max(1, Math.floor(slots / 2)) };
    this.#runner = new Runner({ broker, engine, slots: both, lockMs, log });
    this.#addGauges(engine.registry);
    this.#beat = setInterval(() => void this.#live(), lockMs / BEATS).unref();
    broker.redis.on("ready", () => {
      log("info", "the queue is there again");
      void this.#live();
    });
    broker.redis.on("close", () => {
      if (!this.#closing) log("error", "the queue cannot be reached");
    });
    void this.#live();
    engine.ready.then(
      () => this.#start(),
      () => void this.close({ graceMs: 0 }),
    );
  }

  get models(): readonly ModelCard[] {
    return this.#options.engine.models;
  }

  get state(): EngineState {
    if (this.#closing) return "draining";
    return this.broker.isReachable ? this.#options.engine.state : "queue_unavailable";
  }

  get ready(): Promise<void> {
    return this.#options.engine.ready;
  }

  get registry(): Registry {
    return this.#options.engine.registry;
  }

  async *run(request: EngineRequest, options: RunOptions): AsyncGenerator<EngineEvent, void, void> {
    const { model, key, signal, id = randomUUID(), deadlineMs = this.#options.deadlineMs } = options;
    const mayReturn = options.id !== undefined;
    signal?.throwIfAborted();
    this.#check(model);
    const subscription = this.broker.streams.subscribe(this.broker.eventsKey(id));
    const own: Own = { subscription, mayReturn, isAdmitted: false };
    this.#remember(id, own);
    const abort = () => subscription.fail(signal!.reason);
    signal?.addEventListener("abort", abort, { once: true });
    const deadline = setTimeout(
      () => subscription.fail(this.#errorOf("deadline_exceeded", deadlineMs)),
      deadlineMs,
    ).unref();
    const beganMs = performance.now();
    let isOver = false;
    try {
      await this.broker.admit(id, request, key, mayReturn, deadlineMs);
      own.isAdmitted = true;
      for (let index = 0; ; index++) {
        const event = this.#read((await subscription.next())!, index, deadlineMs);
        isOver = event.type === "end";
        if (isOver) this.#averageMs += NEWS * (performance.now() - beganMs - this.#averageMs);
        yield event;
        if (isOver) return;
      }
    } finally {
      clearTimeout(deadline);
      signal?.removeEventListener("abort", abort);
      subscription.close();
      this.#forget(id, own);
      if (!isOver && !mayReturn) this.broker.cancel(id).catch(() => undefined);
    }
  }

  close({ graceMs = GRACE_MS }: { readonly graceMs?: number } = {}): Promise<void> {
    this.#closing ??= this.#close(graceMs);
    return this.#closing;
  }

  async #close(graceMs: number): Promise<void> {
    const endMs = performance.now() + graceMs;
    const stopped = this.#runner.stop(graceMs);
    if (this.#fleet.replicas <= 1) await this.#inTime(this.#withdrawAll()); // no other replica will run them
    while (this.#own.size > 0 && performance.now() < endMs) await sleep(50);
    await stopped;
    for (const owns of this.#own.values()) for (const { subscription } of owns) subscription.fail(draining());
    while (this.#own.size > 0 && performance.now() < endMs + STOP_MS) await sleep(20);
    clearInterval(this.#beat);
    await this.#inTime(this.broker.leave());
    await this.#options.engine.close({ graceMs: 0 });
    await this.#inTime(this.broker.close());
  }

  async #withdrawAll(): Promise<void> {
    for (const id of this.#own.keys()) await this.broker.cancel(id, "draining", true);
  }

  /** Redis may be unreachable. */
  async #inTime(work: Promise<unknown>): Promise<void> {
    await Promise.race([work.catch(() => undefined), sleep(STOP_MS, undefined, { ref: false })]);
  }

  #start(): void {
    if (this.#closing) return;
    this.#isStarted = true;
    void this.#live();
    this.#runner.start().catch((error: unknown) => {
      this.#options.log?.("error", "requests cannot be taken from the queue", String(error));
    });
  }

  /** Sends the heartbeat and checks the open requests. */
  async #live(): Promise<void> {
    if (!this.broker.isReachable) return;
    try {
      const mayTake = this.#isStarted && !this.#closing;
      this.#fleet = await this.broker.beat(mayTake ? this.#options.slots : 0);
      await this.#runner.look();
      for (const [id, owns] of this.#own) {
        // Redis came back without its data.
        for (const own of owns) if (own.isAdmitted && !(await this.broker.isKnown(id))) own.subscription.fail(lost());
      }
    } catch {
      // Redis became unreachable.
    }
  }

  #check(model: string): void {
    const [card] = this.models;
    if (model !== card!.id) {
      const message = `There is no model ${quote(model)} here; there is ${quote(card!.id)}`;
      throw new InputError(message, { code: "model_not_found" });
    }
    if (this.#closing) throw draining();
  }

  #read(entry: Entry, index: number, deadlineMs: number): EngineEvent {
    if (Number(entry.get("i")) !== index) throw lost();
    const code = entry.get("c");
    if (code) throw this.#errorOf(String(code) as EngineErrorCode, deadlineMs);
    const error = entry.get("x");
    if (error) throw unpackError(this.broker.unpack<PackedError>(error));
    return this.broker.unpack<EngineEvent>(entry.get("e")!);
  }

  #errorOf(code: EngineErrorCode, deadlineMs: number): EngineError {
    if (code === "deadline_exceeded")
      return new EngineError(code, `The request took longer than its ${deadlineMs / 1000} seconds`);
    if (code === "draining") return draining();
    if (code === "queue_full") {
      const { waiting, slots } = this.#fleet;
      const seconds = Math.ceil((this.#averageMs * (waiting + 1)) / Math.max(1, slots) / 1000);
      const retryAfter = Math.min(Math.max(seconds, LEAST_RETRY_SECONDS), MOST_RETRY_SECONDS);
      const message = `The servers have as many requests waiting as they accept; try again in ${retryAfter} s`;
      return new EngineError(code, message, retryAfter);
    }
    return new EngineError("worker_died", "The servers running this request died; try again");
  }

  #remember(id: string, own: Own): void {
    const owns = this.#own.get(id) ?? new Set();
    owns.add(own);
    this.#own.set(id, owns);
  }

  #forget(id: string, own: Own): void {
    const owns = this.#own.get(id);
    owns?.delete(own);
    if (owns?.size === 0) this.#own.delete(id);
  }

  #addGauges(registry: Registry): void {
    const gauge = (name: string, help: string, read: () => number) =>
      new Gauge({
        name: `kelix:queue_${name}`,
        help,
        registers: [registry],
        collect() {
          this.set(read());
        },
      });
    gauge("reachable", "Whether Redis answers.", () => (this.broker.isReachable ? 1 : 0));
    gauge("replicas", "Replicas that share the queue.", () => this.#fleet.replicas);
    gauge("slots", "Requests that all replicas run at a time.", () => this.#fleet.slots);
    gauge("requests_waiting", "Requests of all replicas' clients that wait.", () => this.#fleet.waiting);
    gauge("requests_open", "Requests of all replicas' clients that wait or run.", () => this.#fleet.open);
    gauge(
      "texts_answered",
      "Requests for texts, codes or vectors that all replicas answered, ever.",
      () => this.#fleet.answered.text,
    );
    gauge(
      "drawings_answered",
      "Requests for an image that all replicas answered, ever.",
      () => this.#fleet.answered.draw,
    );
    gauge("requests_taken", "Requests from the queue that run here.", () => this.#runner.size);
  }
}

function draining(): EngineError {
  return new EngineError("draining", "The server is shutting down");
}

function lost(): EngineError {
  return new EngineError("queue_unavailable", "The queue has lost this request; try again", 1);
}
