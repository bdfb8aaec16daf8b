import { expect, test } from "vitest";
import { drawU, timestepIndex, trainingSchedule } from "./flow-schedule.ts";

test("noise levels rise with the index and are told to the model times 1000", () => {
  const { sigmas, timesteps } = trainingSchedule();
  expect(sigmas[999]).toBeCloseTo(0.9996664, 6);
  expect(timesteps[999]).toBeCloseTo(999.6664, 3);
  expect(sigmas.every((sigma, i) => i === 0 || sigma > sigmas[i - 1]!)).toBe(true);
});

test("u becomes an index inside the table", () => {
  expect([0, 0.1, 0.4999, 0.5, 0.9989, 1].map((u) => timestepIndex(u))).toEqual([0, 100, 499, 500, 998, 999]);
  expect(timestepIndex(0.99, 10)).toBe(9);
});

test("u is logit-normal", () => {
  expect([0, 1, -1].map((normal) => drawU({ normal: () => normal }))).toEqual([
    0.5,
    1 / (1 + Math.exp(-1)),
    1 / (1 + Math.E),
  ]);
});
