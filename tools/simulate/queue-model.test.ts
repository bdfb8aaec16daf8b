import { expect, test } from "vitest";
import { counterRandom } from "../../src/random/counter.ts";
import { EventHeap } from "./event-heap.ts";
import { plainQueue } from "./plain-queue.ts";
import { type QueueModel, simulateQueue } from "./queue-model.ts";

const simulate = (changes: Partial<QueueModel>, seed = 1) =>
  simulateQueue({ ...plainQueue, ...changes }, counterRandom(seed, "simulation"));

test("events come in the order of their times", () => {
  const random = counterRandom(1, "events").sequence();
  const times = Array.from({ length: 500 }, () => random.integer(100));
  const heap = new EventHeap<number>();
  for (const time of times) heap.push(time, time);
  expect(times.map(() => heap.pop()?.event)).toEqual(times.toSorted((a, b) => a - b));
  expect(heap.pop()).toBeUndefined();
});

test.each([
  [1000, 7],
  [1000, 1],
  [1001, 1000],
  [5, 100],
])("without trouble %i shards take %i workers ceil(shards / workers) times as long as one shard", (shards, workers) => {
  const { seconds, ...rest } = simulate({ shards, workers, startSeconds: 3 });
  expect(seconds).toBeCloseTo(3 + Math.ceil(shards / workers) * 12, 6);
  expect(rest).toEqual({ done: shards, dead: 0, attempts: shards, deaths: 0, worked: 12 * shards, wasted: 0 });
});

test("stragglers cost one worker their share", () => {
  // n t (1 + p (f - 1)); the share of slow ones among 20,000 has a standard error of 0.14 %.
  const { seconds } = simulate({ shards: 20_000, workers: 1, slowShare: 0.04, slowFactor: 5 });
  expect(seconds / (20_000 * 12 * 1.16)).toBeCloseTo(1, 1);
  expect(Math.abs(seconds / (20_000 * 12 * 1.16) - 1)).toBeLessThan(0.02);
});

test("deaths cost one worker what the theory of restarts says", () => {
  // Work of t seconds that begins anew after each death, deaths at a rate of r, d seconds lost after each:
  // (e^(r t) - 1) (1 / r + d) on average (A. Duda, "The effects of checkpointing on program execution time", 1983).
  const [t, life, restart] = [12, 30, 7];
  const { seconds, deaths } = simulate({
    shards: 20_000,
    workers: 1,
    lifeSeconds: life,
    restartSeconds: restart,
    lockSeconds: restart,
  });
  const each = (Math.exp(t / life) - 1) * (life + restart);
  expect(Math.abs(seconds / (20_000 * each) - 1)).toBeLessThan(0.02);
  expect(Math.abs(deaths / (20_000 * (Math.exp(t / life) - 1)) - 1)).toBeLessThan(0.03);
});

test("a dead worker's shard is done by an idle one once its lock has run out", () => {
  const trouble = { shards: 1, workers: 2, lifeSeconds: 100, lockSeconds: 40, restartSeconds: 1e6 };
  const outcomes = Array.from({ length: 300 }, (_, seed) => simulate(trouble, seed));
  const taken = outcomes.filter(({ deaths }) => deaths === 1);
  // One shard of 12 seconds ends before its worker with a probability of e^(-12 / 100).
  expect(outcomes.filter(({ deaths }) => deaths === 0).length / 300).toBeCloseTo(Math.exp(-0.12), 1);
  expect(taken.length).toBeGreaterThan(10);
  for (const { seconds, wasted, worked } of taken) {
    expect(seconds).toBeCloseTo(wasted + 40 + 12, 6);
    expect(worked).toBeCloseTo(12, 6);
  }
});

test("failures: a shard is dead after three, and p^3 of them die", () => {
  const { dead, done, attempts } = simulate({ shards: 50_000, failShare: 0.2 });
  expect(done + dead).toBe(50_000);
  expect(Math.abs(dead / (50_000 * 0.2 ** 3) - 1)).toBeLessThan(0.15);
  expect(Math.abs(attempts / (50_000 * (1 + 0.2 + 0.04)) - 1)).toBeLessThan(0.01);
});

test("no worker is idle while a shard waits", () => {
  const workers = 50;
  const outcome = simulate({ shards: 3000, workers, spread: 0.3, slowShare: 0.05, slowFactor: 4 });
  // Greedy scheduling (Graham, 1966): within the longest attempt of what all workers together need.
  const work = outcome.worked / workers;
  expect(outcome.seconds).toBeGreaterThanOrEqual(work);
  expect(outcome.seconds).toBeLessThan(work + 12 * 4 * Math.exp(0.3 * 4));
});

test("the same seed gives the same outcome", () => {
  const changes = { spread: 0.2, slowShare: 0.1, slowFactor: 3, lifeSeconds: 500, lockSeconds: 60, failShare: 0.01 };
  expect(simulate(changes, 5)).toEqual(simulate(changes, 5));
  expect(simulate(changes, 5)).not.toEqual(simulate(changes, 6));
});
