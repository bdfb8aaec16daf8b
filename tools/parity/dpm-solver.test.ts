import { expect, test } from "vitest";
import { dpmTimes, sampleDpm } from "./dpm-solver.ts";

test("a single step goes from the largest training sigma to 0", () => {
  const [start, end] = dpmTimes(1);
  expect(start).toBeCloseTo(0.9997, 4);
  expect(end).toBe(0);
});

test.each([1, 2, 7])("DPM-Solver follows a straight line in %i steps, up to its start just below 1", async (steps) => {
  const noise = Float32Array.from([1, -2, 0.5]);
  const target = Float32Array.from([0.25, 3, -1]);
  const straight = async () => noise.map((value, k) => value - target[k]!);
  const x = await sampleDpm(straight, noise, dpmTimes(steps));
  for (const [k, value] of target.entries()) expect(x[k]).toBeCloseTo(value, 2);
});

test("DPM-Solver converges faster than first order on a curved path", async () => {
  // x(t) = (1 - t) m + t n with m of variance 1: v = (t - (1 - t)) / ((1 - t)^2 + t^2) x, whose solution is sqrt((1-t)^2 + t^2).
  const field = async (x: Float32Array, timestep: number) => {
    const t = timestep / 1000;
    return x.map((value) => ((2 * t - 1) / ((1 - t) ** 2 + t ** 2)) * value);
  };
  const error = async (steps: number) =>
    Math.abs((await sampleDpm(field, Float32Array.of(1), dpmTimes(steps)))[0]! - 1);
  expect(await error(40)).toBeLessThan((await error(10)) / 4);
});
