import { describe, expect, test } from "vitest";
import { readSafetensors } from "../quantize/safetensors-file.ts";
import { defaultSigmas, demoSigmas, shiftSigma, TIMESTEPS } from "./flow-schedule.ts";

/** What the model is told at each sigma but the last 0. */
const modelTimesteps = (sigmas: Float32Array) => sigmas.subarray(0, -1).map((sigma) => sigma * TIMESTEPS);
const round = (values: Float32Array) => Array.from(values, (value) => Math.round(value * 1e4) / 1e4);

describe("noise levels", () => {
  test("keep both ends when shifted", () => {
    expect([0, 0.5, 1].map((sigma) => shiftSigma(sigma, 3))).toEqual([0, 0.75, 1]);
  });

  test("of the demo and of the default schedule in 4 steps are the reference's", () => {
    expect(round(demoSigmas(4))).toEqual([1, 0.9, 0.75, 0.5, 0]);
    expect(round(defaultSigmas(4))).toEqual([1, 0.8577, 0.6022, 0.0089, 0]);
    expect([...modelTimesteps(demoSigmas(4))]).toEqual(
      [1000, 900, 750, 500].map((t, i) => Math.fround(i === 1 ? Math.fround(0.9) * 1000 : t)),
    );
  });

  test("start at 1 and end at 0 in a single step", () => {
    expect([...demoSigmas(1)]).toEqual([1, 0]);
    expect([...defaultSigmas(1)]).toEqual([1, 0]);
  });
});

describe("the whole timesteps that the model reads", () => {
  const whole = (sigmas: Float32Array) => Array.from(modelTimesteps(sigmas), Math.trunc);

  test("lie just below a whole number where float32 does", () => {
    expect(whole(demoSigmas(50))[15]).toBe(874); // exactly 875
    expect(whole(demoSigmas(20))).toEqual([
      1000, 982, 964, 944, 923, 900, 874, 847, 818, 785, 750, 710, 666, 617, 562, 500, 428, 346, 250, 136,
    ]);
  });

  // Made by test/schedules/make.py.
  test.each([
    ["demo.shift3", demoSigmas, 3],
    ["default.shift3", defaultSigmas, 3],
    ["demo.shift2.5", demoSigmas, 2.5],
    ["default.shift2.5", defaultSigmas, 2.5],
  ] as const)("are those of diffusers at every number of steps: %s", async (name, schedule, shift) => {
    const wanted = (await readSafetensors("test/schedules/whole-timesteps.safetensors")).get(name)!.data;
    let at = 0;
    for (let steps = 1; at < wanted.length; steps++) {
      const row = Array.from({ length: steps }, () => Number(wanted[at++]));
      expect(whole(schedule(steps, shift)), `${steps} steps`).toEqual(row);
    }
  });
});
