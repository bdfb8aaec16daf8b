// Learning rate schedules: the reference's three, with its names and corner cases.

import { InputError } from "../errors.ts";

export interface LrSchedule {
  readonly name: "cosine" | "cosine_v2" | "constant";
  /** Warm-up steps over which the rate rises from 0; if there are any, the first step has rate 0. */
  readonly warmup?: number;
  /** The step at which a cosine ends; `constant` needs none. */
  readonly total?: number;
  /** The step at which the cosine of `cosine_v2` ends instead; after it the rate stays at the floor. Default: total. */
  readonly decay?: number;
  /** Both cosines are 0 before this step. */
  readonly stop?: number;
  /** The floor, as a share of the base rate. */
  readonly minRate?: number;
  /** Cosine periods from warm-up to end; 0.5 falls once. */
  readonly cycles?: number;
}

/** The factor on the base rate at a step, counted from 0. Throws if a cosine has no end. */
export function learningRateFactor(schedule: LrSchedule, step: number): number {
  const { name, warmup = 0, stop = 0, minRate = 0, cycles = 0.5 } = schedule;
  if (name !== "constant" && step < stop) return 0;
  if (step < warmup) return step / Math.max(1, warmup);
  if (name === "constant") return 1;
  if (schedule.total === undefined)
    throw new InputError(`A ${name} schedule needs \`total\`, the step at which it ends`);
  const end = name === "cosine_v2" ? (schedule.decay ?? schedule.total) : schedule.total;
  if (step > end || step > schedule.total) return minRate;
  const progress = (step - warmup) / Math.max(1, end - warmup);
  const fall = 0.5 * (1 + Math.cos(Math.PI * cycles * 2 * progress));
  return Math.max(0, fall * (1 - minRate) + minRate);
}
