// The workers, and which of them have room.

import { availableParallelism } from "node:os";
import type { KelixError } from "../../errors.ts";
import type { EngineRequest, ModelFacts } from "../protocol.ts";
import type { EventStream } from "./event-stream.ts";
import type { RequestMessage, WorkerLoadOptions } from "./messages.ts";
import { WorkerThread } from "./worker-thread.ts";

/** A request from its arrival to its end. */
export interface Job {
  readonly id: number;
  readonly request: EngineRequest;
  readonly key: string;
  readonly stream: EventStream;
  /** As of `epochMs`, like the other times. */
  readonly arrivedMs: number;
  /** The worker that runs it, and since when. */
  replica?: Replica;
  begunMs?: number;
  lastTextMs?: number;
  /** Over for the reader; a worker may still be busy with it. */
  isOver?: boolean;
}

export interface Replica {
  readonly thread: WorkerThread;
  readonly jobs: Map<number, Job>;
  /** The key of its last request, whose prompts are in this worker's cache. */
  lastKey?: string;
}

export interface PoolOptions {
  /** See EngineOptions. */
  readonly model: string;
  readonly load: WorkerLoadOptions | undefined;
  readonly replicas: number;
  readonly maxRunning: number;
  readonly workerFile: URL | undefined;
}

export interface PoolEvents {
  onReady(facts: ModelFacts): void;
  onFailed(error: KelixError, detail: string | undefined): void;
  onMessage(job: Job, message: RequestMessage): void;
  /** The worker's requests will produce no more events. */
  onDied(jobs: readonly Job[], why: string, waitMs: number): void;
  onWarning(message: string): void;
}

/** Limit on drawings per worker: they take long, and texts should not wait for them. */
const DRAWING_SHARE = 1 / 2;

export class Pool {
  readonly #replicas: readonly Replica[];
  readonly #maxRunning: number;
  readonly #maxDrawing: number;

  constructor(options: PoolOptions, events: PoolEvents) {
    const { model, load, replicas, maxRunning } = options;
    this.#maxRunning = maxRunning;
    this.#maxDrawing = Math.max(1, Math.floor(maxRunning * DRAWING_SHARE));
    const setup = { model, load: { ...threadsOf(replicas), ...load } };
    this.#replicas = Array.from({ length: replicas }, () => {
      const jobs = new Map<number, Job>();
      const thread = new WorkerThread(
        setup,
        {
          ...events,
          onMessage: (message) => {
            const job = jobs.get(message.id);
            if ("done" in message) jobs.delete(message.id);
            if (job) events.onMessage(job, message);
          },
          onDied: (why, waitMs) => {
            const lost = [...jobs.values()];
            jobs.clear();
            events.onDied(lost, why, waitMs);
          },
        },
        options.workerFile,
      );
      return { thread, jobs };
    });
  }

  /** Number of requests in a worker. */
  get jobs(): Job[] {
    return this.#replicas.flatMap(({ jobs }) => [...jobs.values()]);
  }

  /** Number of requests that all workers can run together. */
  get slots(): number {
    return this.#replicas.length * this.#maxRunning;
  }

  get replicas(): number {
    return this.#replicas.length;
  }

  get readyReplicas(): number {
    return this.#replicas.filter(({ thread }) => thread.isReady).length;
  }

  hasRoom(job: Job): boolean {
    return this.#find(job) !== undefined;
  }

  /** Assigns a request to a worker. One must have room. */
  start(job: Job): void {
    const replica = this.#find(job)!;
    job.replica = replica;
    replica.jobs.set(job.id, job);
    replica.lastKey = job.key;
    replica.thread.run(job.id, job.request, job.key);
  }

  /** Aborts a request in its worker, if it has one. */
  abort(job: Job): void {
    if (job.replica?.jobs.has(job.id)) job.replica.thread.post({ type: "abort", id: job.id });
  }

  async close(): Promise<void> {
    await Promise.all(this.#replicas.map(({ thread }) => thread.close()));
  }

  /** The worker with the fewest requests; in a tie, the one that last had the same key. */
  #find(job: Job): Replica | undefined {
    let best: Replica | undefined;
    for (const replica of this.#replicas) {
      if (!replica.thread.isReady || !this.#fits(replica, job)) continue;
      const isLess = !best || replica.jobs.size < best.jobs.size;
      if (isLess || (replica.jobs.size === best!.jobs.size && replica.lastKey === job.key)) best = replica;
    }
    return best;
  }

  #fits({ jobs }: Replica, { request }: Job): boolean {
    if (jobs.size >= this.#maxRunning) return false;
    if (!isDrawing(request)) return true;
    return [...jobs.values()].filter((job) => isDrawing(job.request)).length < this.#maxDrawing;
  }
}

function isDrawing({ kind }: EngineRequest): boolean {
  return kind === "imagine" || kind === "edit" || kind === "reconstruct";
}

/** Several workers share the cores; a single one uses the library's default. */
function threadsOf(replicas: number): WorkerLoadOptions {
  return replicas > 1 ? { threads: Math.max(1, Math.floor(availableParallelism() / replicas)) } : {};
}
