// The engine of the server: a bounded, fair queue before worker threads that have the model. The main thread, where this runs, never
// computes: it hands requests over and passes events on.

import { availableParallelism } from "node:os";
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
import type { RequestMessage, WorkerLoadOptions } from "./messages.ts";
import { Metrics } from "./metrics.ts";
import { fromWire } from "./wire-errors.ts";
import { WorkerThread } from "./worker-thread.ts";

export interface EngineOptions {
  /** As Kelix.load takes it. */
  readonly model: string;
  /** What clients call it; the last part of the model's name if absent. */
  readonly id?: string;
  readonly load?: WorkerLoadOptions;
  /** Workers, each with a model of its own; 1 if absent. */
  readonly replicas?: number;
  /** Requests that one worker has at a time; 8 if absent, as many as share a step. */
  readonly maxRunning?: number;
  /** Requests that wait; 64 if absent. */
  readonly maxWaiting?: number;
  /** The longest that a request may take, its wait included; 10 minutes if absent. */
  readonly deadlineMs?: number;
  /** How long events may wait for their reader; 60 seconds if absent. */
  readonly stalledMs?: number;
  readonly log?: (entry: EngineLogEntry) => void;
  /** The worker's program; for tests. */
  readonly workerFile?: URL;
}

export interface EngineLogEntry {
  readonly level: "info" | "warn" | "error";
  readonly message: string;
  /** For the operator alone: may name files. */
  readonly detail?: string;
}

const [MAX_RUNNING, MAX_WAITING, DEADLINE_MS, STALLED_MS] = [8, 64, 600_000, 60_000];
/** Of a worker's requests, how many may draw: they take long, and texts should not wait for them. */
const DRAWING_SHARE = 1 / 2;
/** Deaths of workers before the first was ready, after which the engine gives up. */
const MOST_EARLY_DEATHS = 3;
const [LEAST_RETRY_SECONDS, MOST_RETRY_SECONDS] = [1, 60];

/** A request from its arrival to its end. */
interface Job {
  readonly id: number;
  readonly request: EngineRequest;
  readonly key: string;
  readonly stream: EventStream;
  readonly arrivedMs: number;
  /** Where it runs. */
  worker?: Replica;
  begunMs?: number;
  lastTextMs?: number;
  /** Ended for its reader; a worker may still be at it. */
  isOver?: boolean;
}

interface Replica {
  readonly thread: WorkerThread;
  readonly jobs: Map<number, Job>;
  /** Whose request it was given last: what is cached of that key is here. */
  lastKey?: string;
}

/** Starts the workers and returns at once; `ready` tells when the first has loaded the model. */
export function openEngine(options: EngineOptions): Engine {
  return new WorkerEngine(options);
}

class WorkerEngine implements Engine {
  readonly #options: EngineOptions;
  readonly #maxRunning: number;
  readonly #maxDrawing: number;
  readonly #queue: FairQueue<Job>;
  readonly #replicas: Replica[] = [];
  readonly #metrics: Metrics;
  readonly #ready = deferred();
  #card: ModelCard;
  #nextId = 0;
  #earlyDeaths = 0;
  /** Of the requests that ended lately. */
  #averageMs = 1000;
  #closing: Promise<void> | undefined;
  #onIdle: (() => void) | undefined;

  constructor(options: EngineOptions) {
    const { model, id = model.split(/[\\/]/).findLast((part) => part !== "") ?? model } = options;
    const { replicas = 1, maxRunning = MAX_RUNNING, maxWaiting = MAX_WAITING, load, workerFile } = options;
    this.#options = options;
    this.#maxRunning = maxRunning;
    this.#maxDrawing = Math.max(1, Math.floor(maxRunning * DRAWING_SHARE));
    this.#queue = new FairQueue(maxWaiting);
    this.#card = { id, created: Math.floor(Date.now() / 1000) };
    this.#metrics = new Metrics(id, {
      running: () => this.#running,
      waiting: () => this.#queue.size,
      readyWorkers: () => this.#replicas.filter(({ thread }) => thread.isReady).length,
    });
    const setup = { model, load: { ...threadsOf(replicas), ...load } };
    for (let i = 0; i < replicas; i++) this.#replicas.push(this.#open(setup, workerFile));
  }

  get models(): readonly ModelCard[] {
    return [this.#card];
  }

  get state(): EngineState {
    if (this.#closing) return "draining";
    return this.#replicas.some(({ thread }) => thread.isReady) ? "ready" : "starting";
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
      const place = job.worker ? "" : " in the queue";
      this.#end(job, late(`The request took longer than ${deadlineMs / 1000} seconds${place}`), "deadline_exceeded");
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
      this.#end(job, undefined, "abort");
    }
  }

  close({ graceMs = 30_000 }: { readonly graceMs?: number } = {}): Promise<void> {
    this.#closing ??= this.#close(graceMs);
    return this.#closing;
  }

  async #close(graceMs: number): Promise<void> {
    for (const job of this.#queue.drain()) this.#end(job, draining(), "draining");
    await this.#idleWithin(graceMs);
    for (const { jobs } of this.#replicas) for (const job of jobs.values()) this.#end(job, draining(), "draining");
    await this.#idleWithin(STOP_MS);
    await Promise.all(this.#replicas.map(({ thread }) => thread.close()));
    this.#ready.reject(draining());
  }

  #idleWithin(ms: number): Promise<void> {
    if (this.#running === 0) return Promise.resolve();
    return new Promise((resolve) => {
      const timer = setTimeout(resolve, ms);
      this.#onIdle = () => {
        clearTimeout(timer);
        resolve();
      };
    });
  }

  get #running(): number {
    return this.#replicas.reduce((sum, { jobs }) => sum + jobs.size, 0);
  }

  #open(setup: { readonly model: string; readonly load: WorkerLoadOptions }, file: URL | undefined): Replica {
    const jobs = new Map<number, Job>();
    const thread = new WorkerThread(
      setup,
      {
        onReady: (facts) => this.#becomeReady(facts),
        onFailed: (error, detail) => this.#giveUp(error, detail),
        onMessage: (message) => this.#receive(replica, message),
        onDied: (why, waitMs) => this.#bury(replica, why, waitMs),
        onWarning: (message) => this.#log("warn", message),
      },
      file,
    );
    const replica: Replica = { thread, jobs };
    return replica;
  }

  #becomeReady(facts: ModelFacts): void {
    this.#card = { ...this.#card, facts };
    this.#log("info", "a worker is ready");
    this.#ready.resolve();
    this.#dispatch();
  }

  /** The model cannot be loaded, now or after a worker died: then it is tried again, since files may come back. */
  #giveUp(error: KelixError, detail: string | undefined): void {
    this.#log("error", error.message, detail);
    if (this.#card.facts || this.#closing) return;
    this.#ready.reject(error);
    void this.close({ graceMs: 0 });
  }

  /** Fails what a dead worker had. */
  #bury(replica: Replica, why: string, waitMs: number): void {
    this.#metrics.died();
    this.#log("error", `a worker died, the next one starts in ${waitMs} ms`, why);
    for (const job of replica.jobs.values()) {
      const error = new EngineError("worker_died", "The server's worker ended while the request ran; try again");
      this.#end(job, error, "worker_died", "after");
    }
    replica.jobs.clear();
    this.#settle();
    if (!this.#card.facts && ++this.#earlyDeaths >= MOST_EARLY_DEATHS * this.#replicas.length) {
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
      onTaken: (count) => job.worker?.thread.post({ type: "credit", id, count }),
      stalledMs,
      onStalled: () =>
        this.#end(job, late(`The answer was not read for ${stalledMs / 1000} seconds`), "deadline_exceeded"),
    });
    const job: Job = { id, request, key, stream, arrivedMs: performance.now() };
    this.#queue.add(key, job);
    this.#dispatch();
    const excess = this.#queue.takeExcess();
    if (excess) this.#end(excess, this.#fullError(), "queue_full");
    return job;
  }

  #fullError(): EngineError {
    const slots = this.#replicas.length * this.#maxRunning;
    const seconds = Math.ceil((this.#averageMs * (this.#queue.size + 1)) / slots / 1000);
    const retryAfter = Math.min(Math.max(seconds, LEAST_RETRY_SECONDS), MOST_RETRY_SECONDS);
    const message = `The server has ${this.#queue.size} requests waiting and takes no more; try again in ${retryAfter} seconds`;
    return new EngineError("queue_full", message, retryAfter);
  }

  /** Gives waiting requests to workers that have room. */
  #dispatch(): void {
    while (this.#queue.size > 0) {
      const job = this.#queue.take((job) => this.#findReplica(job) !== undefined);
      if (!job) return;
      const replica = this.#findReplica(job)!;
      const nowMs = performance.now();
      job.worker = replica;
      job.begunMs = nowMs;
      replica.jobs.set(job.id, job);
      replica.lastKey = job.key;
      this.#metrics.begun(nowMs - job.arrivedMs);
      replica.thread.run(job.id, job.request, job.key);
    }
  }

  /** The worker with the fewest requests, of several the one that was given the same key last. */
  #findReplica(job: Job): Replica | undefined {
    let best: Replica | undefined;
    for (const replica of this.#replicas) {
      if (!replica.thread.isReady || !this.#hasRoom(replica, job)) continue;
      const isLess = !best || replica.jobs.size < best.jobs.size;
      if (isLess || (replica.jobs.size === best!.jobs.size && replica.lastKey === job.key)) best = replica;
    }
    return best;
  }

  #hasRoom({ jobs }: Replica, { request }: Job): boolean {
    if (jobs.size >= this.#maxRunning) return false;
    if (!isDrawing(request)) return true;
    return [...jobs.values()].filter((job) => isDrawing(job.request)).length < this.#maxDrawing;
  }

  #receive(replica: Replica, message: RequestMessage): void {
    const job = replica.jobs.get(message.id);
    if (!job) return;
    if ("event" in message) {
      this.#measure(job, message.event);
      job.stream.push(message.event);
      return;
    }
    replica.jobs.delete(job.id);
    this.#averageMs += 0.1 * (performance.now() - job.begunMs! - this.#averageMs);
    if (message.error) {
      const { error } = message;
      if (error.detail !== undefined) this.#log("error", error.message, error.detail);
      this.#end(job, fromWire(error), error.code, "after");
    }
    this.#settle();
    this.#dispatch();
  }

  #measure(job: Job, event: EngineEvent): void {
    if (job.isOver) return;
    const nowMs = performance.now();
    if (event.type === "text") {
      this.#metrics.text(job.lastTextMs === undefined, nowMs - (job.lastTextMs ?? job.arrivedMs));
      job.lastTextMs = nowMs;
    } else if (event.type === "end") {
      this.#metrics.ended(event, job.request.kind, nowMs - job.arrivedMs);
      job.isOver = true;
    }
  }

  /** Ends a request with an error, wherever it stands; nothing happens where it is over. */
  #end(job: Job, error: unknown, code: string, when: "at once" | "after" = "at once"): void {
    if (job.isOver) return;
    job.isOver = true;
    this.#metrics.failed(code);
    job.stream.fail(error, when);
    if (this.#queue.remove(job.key, job)) return;
    if (job.worker?.jobs.has(job.id)) job.worker.thread.post({ type: "abort", id: job.id });
  }

  #settle(): void {
    if (this.#running === 0) this.#onIdle?.();
  }

  #log(level: EngineLogEntry["level"], message: string, detail?: string): void {
    this.#options.log?.({ level, message, ...(detail !== undefined && { detail }) });
  }
}

/** How long aborted requests may take to end before their threads are ended. */
const STOP_MS = 2_000;

function isDrawing({ kind }: EngineRequest): boolean {
  return kind === "imagine" || kind === "edit" || kind === "reconstruct";
}

/** Several workers share the cores; one has the library's own choice. */
function threadsOf(replicas: number): WorkerLoadOptions {
  return replicas > 1 ? { threads: Math.max(1, Math.floor(availableParallelism() / replicas)) } : {};
}

function deferred() {
  let settle!: { resolve: () => void; reject: (error: unknown) => void };
  const promise = new Promise<void>((resolve, reject) => {
    settle = { resolve, reject };
  });
  promise.catch(() => undefined); // who does not ask is not told
  return { promise, ...settle };
}

function draining(): EngineError {
  return new EngineError("draining", "The server is shutting down");
}

function late(message: string): EngineError {
  return new EngineError("deadline_exceeded", message);
}
