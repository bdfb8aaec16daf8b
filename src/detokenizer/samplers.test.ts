import { expect, test } from "vitest";
import { demoSigmas } from "./flow-schedule.ts";
import { guide, sampleEuler } from "./samplers.ts";

const noise = Float32Array.from([1, -2, 0.5]);
const target = Float32Array.from([0.25, 3, -1]);
/** The velocity of the straight line to one target: every solver is exact on it. */
const straight = async () => noise.map((value, k) => value - target[k]!);

test.each([1, 2, 7])("Euler follows a straight line exactly in %i steps", async (steps) => {
  const x = await sampleEuler(straight, noise, demoSigmas(steps));
  for (const [k, value] of target.entries()) expect(x[k]).toBeCloseTo(value, 5);
});

test("Euler on a linear field is the product of its steps", async () => {
  const sigmas = [1, 0.6, 0.3, 0];
  const x = await sampleEuler(async (x) => x.map((value) => 0.5 * value), noise, sigmas);
  const factor = (1 - 0.5 * 0.4) * (1 - 0.5 * 0.3) * (1 - 0.5 * 0.3);
  for (const [k, value] of noise.entries()) expect(x[k]).toBeCloseTo(value * factor, 5);
});

test("an aborted signal stops between steps with its reason", async () => {
  const stop = new AbortController();
  let calls = 0;
  const running = sampleEuler(
    async (x) => {
      calls++;
      stop.abort(new Error("enough"));
      return x;
    },
    noise,
    demoSigmas(5),
    { signal: stop.signal },
  );
  await expect(running).rejects.toThrow("enough");
  expect(calls).toBe(1);
});

test("steps report their number and an estimate of the end", async () => {
  const seen: [number, number][] = [];
  await sampleEuler(straight, noise, demoSigmas(3), {
    onStep: ({ step, estimate }) => void seen.push([step, estimate()[0]!]),
  });
  expect(seen.map(([step]) => step)).toEqual([1, 2, 3]);
  for (const [, value] of seen) expect(value).toBeCloseTo(target[0]!, 5);
});

test("guidance of 1 is the condition, of 0 the null condition, above 1 beyond both", () => {
  const both = Float32Array.from([1, 2, 3, 5]);
  expect([...guide(both, 1)]).toEqual([3, 5]);
  expect([...guide(both, 0)]).toEqual([1, 2]);
  expect([...guide(both, 2)]).toEqual([5, 8]);
});
