// The server's engine: a bounded, fair queue in front of worker threads that hold the model. It runs in the main thread, which computes
// nothing: it only forwards requests and events.

import { InputError, type KelixError, quote } from "../../errors.ts";
import {
  type Engine,
  EngineError,
  type EngineEvent,
  type EngineRequest,
  type EngineState,
  type ModelCard,
  type ModelFacts,
  type RunOptions,
} from "../protocol.ts";
import { EventStream } from "./event-stream.ts";
import { FairQueue } from "./fair-queue.ts";
import { epochMs, type RequestMessage, type WorkerLoadOptions } from "./messages.ts";
import { Metrics } from "./metrics.ts";
import { type Job, Pool } from "./pool.ts";
import { fromWire } from "./wire-errors.ts";

export interface EngineOptions {
  /** The model, as for Kelix.load. */
  readonly model: string;
  /** The model id for clients; the last part of the model's name if absent. */
  readonly id?: string;
  readonly load?: WorkerLoadOptions;
  /** Number of workers, each with its own copy of the model; 1 if absent. */
  readonly replicas?: number;
  /** Concurrent requests per worker; 8 if absent, which is as many as share a step. At most half of them may draw images. */
  readonly maxRunning?: number;
  /** Maximum number of waiting requests; 64 if absent. */
  readonly maxWaiting?: number;
  /** Time limit of a request, waiting included; 10 minutes if absent. */
  readonly deadlineMs?: number;
  /** How long events may wait for a reader; 60 seconds if absent. */
  readonly stalledMs?: number;
  readonly log?: (entry: EngineLogEntry) => void;
  /** The worker's module; for tests. */
  readonly workerFile?: URL;
}

export interface EngineLogEntry {
  readonly level: "info" | "warn" | "error";
  readonly message: string;
  /** For the operator only; may contain file names. */
  readonly detail?: string;
}

const [MAX_RUNNING, MAX_WAITING, DEADLINE_MS, STALLED_MS, GRACE_MS] = [8, 64, 600_000, 60_000, 30_000];
/** The engine gives up after so many deaths per worker before the first is ready. */
const MOST_EARLY_DEATHS = 3;
/** How long aborted requests may take to end before their threads are terminated. */
const STOP_MS = 2_000;
const [LEAST_RETRY_SECONDS, MOST_RETRY_SECONDS] = [1, 60];
/** Weight of the latest request in the moving average of their duration. */
const NEWS = 0.1;

/** Starts the workers and returns at once; `ready` resolves when the first has loaded the model. */
export function openEngine(options: EngineOptions): Engine {
  return new WorkerEngine(options);
}

class WorkerEngine implements Engine {
  readonly #options: EngineOptions;
  readonly #queue: FairQueue<Job>;
  readonly #pool: Pool;
  readonly #metrics: Metrics;
  readonly #ready = deferred();
  #card: ModelCard;
  #nextId = 0;
  #earlyDeaths = 0;
  #averageMs = 1000;
  #closing: Promise<void> | undefined;
  #onIdle: (() => void) | undefined;

  constructor(options: EngineOptions) {
    const { model, id = model.split(/[\\/]/).findLast((part) => part !== "") ?? model, load, workerFile } = options;
    const { replicas = 1, maxRunning = MAX_RUNNING, maxWaiting = MAX_WAITING } = options;
    this.#options = options;
    this.#queue = new FairQueue(maxWaiting);
    this.#card = { id, created: Math.floor(Date.now() / 1000) };
    this.#metrics = new Metrics(id, {
      running: () => this.#pool.jobs.length,
      waiting: () => this.#queue.size,
      readyWorkers: () => this.#pool.readyReplicas,
    });
    this.#pool = new Pool(
      { model, load, replicas, maxRunning, workerFile },
      {
        onReady: (facts) => this.#becomeReady(facts),
        onFailed: (error, detail) => this.#giveUp(error, detail),
        onMessage: (job, message) => this.#receive(job, message),
        onDied: (jobs, why, waitMs) => this.#bury(jobs, why, waitMs),
        onWarning: (message) => this.#log("warn", message),
      },
    );
  }

  get models(): readonly ModelCard[] {
    return [this.#card];
  }

  get state(): EngineState {
    if (this.#closing) return "draining";
    return this.#pool.readyReplicas > 0 ? "ready" : "starting";
  }

  get ready(): Promise<void> {
    return this.#ready.promise;
  }

  get registry() {
    return this.#metrics.registry;
  }

  async *run(request: EngineRequest, options: RunOptions): AsyncGenerator<EngineEvent, void, void> {
    const { signal, deadlineMs = this.#options.deadlineMs ?? DEADLINE_MS } = options;
    signal?.throwIfAborted();
    const job = this.#admit(request, options);
    const abort = () => this.#end(job, signal!.reason, "abort");
    signal?.addEventListener("abort", abort, { once: true });
    const deadline = setTimeout(() => {
      const place = job.replica ? "" : ", all of it waiting";
      this.#end(job, late(`The request took longer than its ${deadlineMs / 1000} seconds${place}`));
    }, deadlineMs).unref();
    try {
      while (true) {
        const event = await job.stream.next();
        yield event;
        if (event.type === "end") return;
      }
    } finally {
      clearTimeout(deadline);
      signal?.removeEventListener("abort", abort);
      this.#end(job, undefined, "abort"); // if the reader has left
    }
  }

  close({ graceMs = GRACE_MS }: { readonly graceMs?: number } = {}): Promise<void> {
    this.#closing ??= this.#close(graceMs);
    return this.#closing;
  }

  async #close(graceMs: number): Promise<void> {
    for (const job of this.#queue.drain()) this.#end(job, draining());
    await this.#idleWithin(graceMs);
    for (const job of this.#pool.jobs) this.#end(job, draining());
    await this.#idleWithin(STOP_MS);
    await this.#pool.close();
    this.#ready.reject(draining());
  }

  #idleWithin(ms: number): Promise<void> {
    if (this.#pool.jobs.length === 0) return Promise.resolve();
    return new Promise((resolve) => {
      const timer = setTimeout(resolve, ms);
      this.#onIdle = () => {
        clearTimeout(timer);
        resolve();
      };
    });
  }

  #becomeReady(facts: ModelFacts): void {
    this.#card = { ...this.#card, facts };
    this.#log("info", "a worker is ready");
    this.#ready.resolve();
    this.#dispatch();
  }

  /** The model cannot be loaded. After a worker's death loading is retried forever, since the files may come back. */
  #giveUp(error: KelixError, detail: string | undefined): void {
    this.#log("error", error.message, detail);
    if (this.#card.facts || this.#closing) return;
    this.#ready.reject(error);
    void this.close({ graceMs: 0 });
  }

  #bury(jobs: readonly Job[], why: string, waitMs: number): void {
    this.#metrics.died();
    this.#log("error", `a worker died; the next one starts in ${waitMs} ms`, why);
    for (const job of jobs) {
      const error = new EngineError("worker_died", "The server's worker ended while the request ran; try again");
      this.#end(job, error, error.code, "after");
    }
    this.#afterEnd();
    if (!this.#card.facts && ++this.#earlyDeaths >= MOST_EARLY_DEATHS * this.#pool.replicas) {
      this.#giveUp(new EngineError("worker_died", "The server's workers end before they have loaded the model"), why);
    }
  }

  #admit(request: EngineRequest, { model, key }: RunOptions): Job {
    if (model !== this.#card.id) {
      const message = `There is no model ${quote(model)} here; there is ${quote(this.#card.id)}`;
      throw new InputError(message, { code: "model_not_found" });
    }
    if (this.#closing) {
      this.#metrics.failed("draining");
      throw draining();
    }
    const id = this.#nextId++;
    const stalledMs = this.#options.stalledMs ?? STALLED_MS;
    const stream = new EventStream({
      onTaken: (count) => job.replica?.thread.post({ type: "credit", id, count }),
      stalledMs,
      onStalled: () => this.#end(job, late(`The answer was not read for ${stalledMs / 1000} seconds`)),
    });
    const job: Job = { id, request, key, stream, arrivedMs: epochMs() };
    this.#queue.add(key, job);
    this.#dispatch();
    const excess = this.#queue.takeExcess();
    if (excess) this.#end(excess, this.#fullError());
    return job;
  }

  #fullError(): EngineError {
    const seconds = Math.ceil((this.#averageMs * (this.#queue.size + 1)) / this.#pool.slots / 1000);
    const retryAfter = Math.min(Math.max(seconds, LEAST_RETRY_SECONDS), MOST_RETRY_SECONDS);
    const message = `The server has ${this.#queue.size} requests waiting and takes no more; try again in ${retryAfter} s`;
    return new EngineError("queue_full", message, retryAfter);
  }

  /** Assigns waiting requests to workers with room. */
  #dispatch(): void {
    while (true) {
      const job = this.#queue.take((job) => this.#pool.hasRoom(job));
      if (!job) return;
      job.begunMs = epochMs();
      this.#metrics.begun(job.begunMs - job.arrivedMs);
      this.#pool.start(job);
    }
  }

  #receive(job: Job, message: RequestMessage): void {
    if ("event" in message) {
      this.#measure(job, message.event, message.atMs);
      job.stream.push(message.event);
      return;
    }
    this.#averageMs += NEWS * (epochMs() - job.begunMs! - this.#averageMs);
    if (message.error) {
      const { error } = message;
      if (error.detail !== undefined) this.#log("error", error.message, error.detail);
      this.#end(job, fromWire(error), error.code, "after");
    }
    this.#afterEnd();
  }

  #measure(job: Job, event: EngineEvent, atMs: number): void {
    if (job.isOver) return;
    if (event.type === "text") {
      this.#metrics.text(job.lastTextMs === undefined, atMs - (job.lastTextMs ?? job.arrivedMs));
      job.lastTextMs = atMs;
    } else if (event.type === "end") {
      this.#metrics.ended(event, job.request.kind, atMs - job.arrivedMs);
      job.isOver = true;
    }
  }

  /** Ends a request with an error, whether waiting or running. Does nothing if it is over. */
  #end(job: Job, error: unknown, code = (error as EngineError).code as string, when: "at once" | "after" = "at once") {
    if (job.isOver) return;
    job.isOver = true;
    this.#metrics.failed(code);
    job.stream.fail(error, when);
    if (!this.#queue.remove(job.key, job)) this.#pool.abort(job);
  }

  /** A worker has room again. */
  #afterEnd(): void {
    this.#dispatch();
    if (this.#pool.jobs.length === 0) this.#onIdle?.();
  }

  #log(level: EngineLogEntry["level"], message: string, detail?: string): void {
    this.#options.log?.({ level, message, ...(detail !== undefined && { detail }) });
  }
}

function deferred() {
  let settle!: { resolve: () => void; reject: (error: unknown) => void };
  const promise = new Promise<void>((resolve, reject) => {
    settle = { resolve, reject };
  });
  promise.catch(() => undefined); // an unread rejection is not an error
  return { promise, ...settle };
}

function draining(): EngineError {
  return new EngineError("draining", "The server is shutting down");
}

function late(message: string): EngineError {
  return new EngineError("deadline_exceeded", message);
}
