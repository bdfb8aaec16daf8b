// Takes tickets, runs requests on the local engine, and publishes their events.

import { randomUUID } from "node:crypto";
import { setTimeout as sleep } from "node:timers/promises";
import type { Job, Worker } from "bullmq";
import { Counter } from "prom-client";
import { loadBull } from "../../redis/redis.ts";
import { type Engine, EngineError } from "../protocol.ts";
import { type Broker, type Kind, kinds, MOST_ATTEMPTS, type Taken } from "./broker.ts";
import { AnswerDiffers, Sent } from "./resume.ts";

export interface RunnerOptions {
  readonly broker: Broker;
  /** The local engine, which holds the model. */
  readonly engine: Engine;
  /** Concurrent requests of each kind. */
  readonly slots: Readonly<Record<Kind, number>>;
  readonly lockMs: number;
  readonly log: (level: "info" | "warn" | "error", message: string, detail?: string) => void;
}

/** Never give up a ticket: deaths are counted per request (MOST_ATTEMPTS). */
const MAX_STALLED = 1_000_000;

interface Running {
  readonly owner: string;
  readonly controller: AbortController;
}

export class Runner {
  readonly #options: RunnerOptions;
  readonly #running = new Map<string, Running>();
  readonly #taken: Counter<"from" | "attempt">;
  #workers: Worker[] = [];
  #isStopping = false;

  constructor(options: RunnerOptions) {
    this.#options = options;
    this.#taken = new Counter({
      name: "kelix:queue_requests_taken_total",
      help: "Requests taken from the queue by this replica: of its own clients or others, first attempts or after a death.",
      labelNames: ["from", "attempt"],
      registers: [options.engine.registry],
    });
  }

  /** Requests running here. */
  get size(): number {
    return this.#running.size;
  }

  /** Starts taking tickets. */
  async start(): Promise<void> {
    const { broker, slots, lockMs, log } = this.#options;
    const { Worker } = await loadBull();
    await broker.onCancel((id) => this.#running.get(id)?.controller.abort());
    if (this.#isStopping) return;
    this.#workers = kinds.map((kind) => {
      const { name, prefix } = broker.queue(kind);
      const worker = new Worker(name, (job, token) => this.#process(kind, job, token), {
        connection: broker.redis,
        prefix,
        concurrency: slots[kind],
        lockDuration: lockMs,
        stalledInterval: Math.max(500, lockMs / 3),
        maxStalledCount: MAX_STALLED,
      });
      worker.on("error", (error) => {
        if (broker.isReachable && !this.#isStopping) log("warn", "the queue reported an error", String(error));
      });
      return worker;
    });
  }

  /** Aborts orphaned requests: cancelled while Redis was unreachable, or of a replica that died with its clients. */
  async look(): Promise<void> {
    const { broker } = this.#options;
    for (const [id, { owner, controller }] of this.#running) {
      if (!(await broker.isWanted(id, owner))) controller.abort();
    }
  }

  /** Takes no more tickets, gives running requests `graceMs` to finish, and returns the rest to the queue. */
  async stop(graceMs: number): Promise<void> {
    this.#isStopping = true;
    const closed = Promise.all(this.#workers.map((worker) => worker.close()));
    await Promise.race([closed, sleep(graceMs, undefined, { ref: false })]);
    for (const { controller } of this.#running.values()) controller.abort();
    await Promise.race([closed, sleep(2000, undefined, { ref: false })]); // Redis may be unreachable
  }

  async #process(kind: Kind, job: Job, token: string | undefined): Promise<void> {
    const { broker } = this.#options;
    const owner = randomUUID();
    const taken = await broker.take(kind, job.id!, owner);
    if (!taken) return;
    const { id, attempt, front } = taken;
    const isAgain = attempt > 1;
    this.#taken.inc({ from: front === broker.name ? "own" : "other", attempt: isAgain ? "again" : "first" });
    if (isAgain) this.#options.log("warn", `request ${id} of a replica that died is taken again`);
    const controller = new AbortController();
    this.#running.set(id, { owner, controller });
    try {
      const isDone = await this.#run(taken, owner, controller.signal);
      if (isDone || !this.#isStopping) return;
    } finally {
      this.#running.delete(id);
    }
    const { WaitingError } = await loadBull();
    await job.moveToWait(token);
    throw new WaitingError();
  }

  /** Returns whether the request is over. */
  async #run(taken: Taken, owner: string, signal: AbortSignal): Promise<boolean> {
    const { broker, engine, log } = this.#options;
    const { id, request, key } = taken;
    const untilMs = performance.now() + taken.deadlineMs;
    const [model] = engine.models;
    for (let attempt = taken.attempt; ; attempt++) {
      try {
        const sent = new Sent(attempt > 1 ? await broker.sent(id) : []);
        const deadlineMs = Math.max(1, untilMs - performance.now());
        for await (const event of engine.run(request, { model: model!.id, key, signal, deadlineMs })) {
          const rest = sent.rest(event);
          if (rest && !(await broker.publish(id, owner, rest))) return true; // another replica owns it, or it was cancelled
        }
        log("info", `request ${id} is answered: ${request.kind}`);
        return true;
      } catch (error) {
        if (signal.aborted) {
          // Has no effect if it was cancelled or another replica owns it.
          if (!this.#isStopping) await broker.publishError(id, owner, abandoned());
          return false;
        }
        const isDead = error instanceof EngineError && error.code === "worker_died";
        if (isDead && attempt < MOST_ATTEMPTS) continue; // the next worker retries it
        await broker.publishError(id, owner, error instanceof AnswerDiffers ? differs() : error);
        return true;
      }
    }
  }
}

function abandoned(): EngineError {
  return new EngineError("worker_died", "The server with this request's connection was considered dead; try again");
}

function differs(): EngineError {
  const message = "The answering server died, and another one got a different answer; try again";
  return new EngineError("worker_died", message);
}
