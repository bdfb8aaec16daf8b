// A discrete-event simulation of the shard queue: workers take shards, some are slow, some die, and what a dead one had is taken again
// once its lock has run out. There is one event for each end of an attempt.

import type { CounterRandom } from "../../src/random/counter.ts";
import { EventHeap } from "./event-heap.ts";

export interface QueueModel {
  readonly shards: number;
  readonly workers: number;
  /** Of one attempt by an ordinary worker. */
  readonly shardSeconds: number;
  /** Before a worker's first shard, and again after each death. */
  readonly startSeconds: number;
  /** Workers differ: the time of each is multiplied by exp(spread * a normal number). */
  readonly spread: number;
  /** Stragglers: the share of attempts that take `slowFactor` times as long. */
  readonly slowShare: number;
  readonly slowFactor: number;
  /** How long a worker lives on average; Infinity where none dies. */
  readonly lifeSeconds: number;
  /** From a death until the worker is started again. */
  readonly restartSeconds: number;
  /** From a death until its shard waits again: the lock runs out, and another worker looks. */
  readonly lockSeconds: number;
  /** The share of attempts that fail, at a random moment. */
  readonly failShare: number;
  /** After so many failures a shard is dead. A worker's death is not counted. */
  readonly attempts: number;
  /** Before the second attempt; doubles with each. */
  readonly backoffSeconds: number;
}

export interface Outcome {
  /** Until the last shard was done, or given up. */
  readonly seconds: number;
  readonly done: number;
  /** Shards that were given up. */
  readonly dead: number;
  /** Attempts: done, failed, or lost with a worker. */
  readonly attempts: number;
  readonly deaths: number;
  /** Seconds of all workers that led to a finished shard, and that did not. */
  readonly worked: number;
  readonly wasted: number;
}

interface Worker {
  readonly slowness: number;
  diesAt: number;
}

interface Shard {
  failures: number;
}

type Event =
  | { readonly type: "ready"; readonly worker: Worker }
  | { readonly type: "end"; readonly worker: Worker; readonly shard: Shard; readonly isFailed: boolean }
  | { readonly type: "back"; readonly shard: Shard };

/** Runs the model until no shard is left. The same random numbers give the same outcome. */
export function simulateQueue(model: QueueModel, numbers: CounterRandom): Outcome {
  const random = numbers.sequence();
  const events = new EventHeap<Event>();
  const idle: Worker[] = [];
  /** Shards that came back; they are served first. Those that were never begun are alike, so a number is enough. */
  const back: Shard[] = [];
  let fresh = model.shards;
  let now = 0;
  const sums = { done: 0, dead: 0, attempts: 0, deaths: 0, worked: 0, wasted: 0 };
  const life = () => (model.lifeSeconds === Infinity ? Infinity : -Math.log(1 - random.uniform()) * model.lifeSeconds);

  /** Gives a worker that died at `diesAt` its next life, and returns when that begins. */
  function revive(worker: Worker): number {
    sums.deaths++;
    const readyAt = worker.diesAt + model.restartSeconds + model.startSeconds;
    worker.diesAt = readyAt + life();
    return readyAt;
  }

  function begin(worker: Worker, shard: Shard): void {
    sums.attempts++;
    const isSlow = random.uniform() < model.slowShare;
    const isFailed = random.uniform() < model.failShare;
    const whole = model.shardSeconds * worker.slowness * (isSlow ? model.slowFactor : 1);
    const endsAt = now + (isFailed ? whole * random.uniform() : whole);
    if (endsAt <= worker.diesAt) {
      events.push(endsAt, { type: "end", worker, shard, isFailed });
      sums[isFailed ? "wasted" : "worked"] += endsAt - now;
      return;
    }
    sums.wasted += worker.diesAt - now;
    events.push(worker.diesAt + model.lockSeconds, { type: "back", shard });
    events.push(revive(worker), { type: "ready", worker });
  }

  function serve(): void {
    while (idle.length > 0 && fresh + back.length > 0) {
      const worker = idle.pop()!;
      let readyAt = now;
      while (worker.diesAt < now) readyAt = revive(worker); // it died while it had nothing to do
      if (readyAt > now) events.push(readyAt, { type: "ready", worker });
      else begin(worker, back.shift() ?? take());
    }
  }

  function take(): Shard {
    fresh--;
    return { failures: 0 };
  }

  for (let i = 0; i < model.workers; i++) {
    const slowness = Math.exp(model.spread * random.normal());
    events.push(model.startSeconds, { type: "ready", worker: { slowness, diesAt: model.startSeconds + life() } });
  }
  while (sums.done + sums.dead < model.shards) {
    const { at, event } = events.pop()!;
    now = at;
    if (event.type === "back") back.push(event.shard);
    else idle.push(event.worker);
    if (event.type === "end") {
      const { shard, isFailed } = event;
      if (!isFailed) sums.done++;
      else if (++shard.failures === model.attempts) sums.dead++;
      else events.push(now + model.backoffSeconds * 2 ** (shard.failures - 1), { type: "back", shard });
    }
    serve();
  }
  return { seconds: now, ...sums };
}
