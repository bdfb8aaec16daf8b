import { describe, expect, test } from "vitest";
import { type LrSchedule, learningRateFactor } from "./lr-schedule.ts";

const factors = (schedule: LrSchedule, steps: number[]) => steps.map((step) => learningRateFactor(schedule, step));
const near = (values: number[]) => values.map((value) => expect.closeTo(value, 12));

describe("the learning rate", () => {
  test("rises from 0, falls by a cosine and stays at the floor", () => {
    const schedule = { name: "cosine", warmup: 2, total: 6, minRate: 0.1 } as const;
    expect(factors(schedule, [0, 1, 2, 4, 6, 7, 100])).toEqual(near([0, 0.5, 1, 0.55, 0.1, 0.1, 0.1]));
  });

  test("of cosine_v2 ends at its decay step and is constant when the floor is the base rate", () => {
    const schedule = { name: "cosine_v2", total: 100, decay: 10, minRate: 0.5 } as const;
    expect(factors(schedule, [0, 5, 10, 50])).toEqual(near([1, 0.75, 0.5, 0.5]));
    expect(factors({ ...schedule, minRate: 1 }, [0, 7, 99])).toEqual([1, 1, 1]);
  });

  test("is 0 before the stop step, where warm-up goes on as if it had run", () => {
    expect(factors({ name: "cosine", warmup: 8, stop: 4, total: 40 }, [3, 4])).toEqual([0, 0.5]);
  });

  test("stays after the warm-up of the constant schedule", () => {
    expect(factors({ name: "constant", warmup: 2 }, [0, 1, 2, 1e6])).toEqual([0, 0.5, 1, 1]);
  });

  test("wants an end for a cosine", () => {
    expect(() => learningRateFactor({ name: "cosine" }, 0)).toThrow("A cosine schedule needs `total`");
  });
});
