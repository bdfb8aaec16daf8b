import { setTimeout as sleep } from "node:timers/promises";
import { expect, test } from "vitest";
import { Turns } from "./turns.ts";

test("works one after the other in the order of asking, also after a failure and an abort", async () => {
  const turns = new Turns();
  const log: string[] = [];
  const controller = new AbortController();
  const work = (name: string, signal?: AbortSignal) =>
    turns.take(async () => {
      log.push(`${name} in`);
      await sleep(5);
      log.push(`${name} out`);
      if (name === "b") throw new Error(name);
    }, signal);
  const all = Promise.allSettled([work("a"), work("b"), work("left", controller.signal), work("c")]);
  controller.abort(new Error("left"));
  const results = await all;
  expect(results.map(({ status }) => status)).toEqual(["fulfilled", "rejected", "rejected", "fulfilled"]);
  expect(results[2]).toMatchObject({ reason: new Error("left") });
  expect(log).toEqual(["a in", "a out", "b in", "b out", "c in", "c out"]);
  await work("later");
  expect(log.slice(-2)).toEqual(["later in", "later out"]);
});

test("a callback may wait for another's turn, and the work goes on after it before those who waited longer", async () => {
  const turns = new Turns();
  const log: string[] = [];
  const plain = (name: string) => turns.take(async () => void log.push(name));
  const outer = turns.take(async (pause) => {
    log.push("begins");
    expect(await pause(() => 3)).toBe(3);
    await pause(() => plain("inner"));
    log.push("ends");
  });
  await Promise.all([outer, plain("waiting")]);
  expect(log).toEqual(["begins", "waiting", "inner", "ends"]);
});
