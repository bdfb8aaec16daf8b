import { expect, test } from "vitest";
import { measure, summarize } from "./measure.ts";

test("the median of an odd number of times is the middle one, of an even number the mean of the middle two", () => {
  expect(summarize([3, 1, 2])).toEqual({ medianS: 2, minS: 1, maxS: 3, runs: 3 });
  expect(summarize([4, 1, 2, 10])).toEqual({ medianS: 3, minS: 1, maxS: 10, runs: 4 });
});

test("a workload is warmed up, run as often as asked, and its rates come from the median", async () => {
  let calls = 0;
  const workload = {
    run: async () => void calls++,
    units: { tokens: 512 },
    flop: 2e9,
    facts: { parameters: 7 },
    release: async () => {},
  };
  const result = await measure(workload, 5);
  expect(calls).toBe(7);
  expect(result.runs).toBe(5);
  expect(result.tokensPerS).toBeCloseTo(512 / result.medianS);
  expect(result.gflopPerS).toBeCloseTo(2 / result.medianS);
  expect(result.parameters).toBe(7);
});
