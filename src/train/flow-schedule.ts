// Noise levels of training the flow: a table of them by timestep, and how a sample's is drawn.

import { DEFAULT_SHIFT, shiftSigma, TIMESTEPS } from "../detokenizer/flow-schedule.ts";

export interface TrainingSchedule {
  /** By timestep index, rising from 0. */
  readonly sigmas: Float32Array;
  /** What the model is told: sigma * count, not the index. */
  readonly timesteps: Float32Array;
}

export function trainingSchedule(count = TIMESTEPS, shift = DEFAULT_SHIFT): TrainingSchedule {
  const exact = Float64Array.from({ length: count }, (_, i) => shiftSigma(i / count, shift));
  return { sigmas: Float32Array.from(exact), timesteps: Float32Array.from(exact, (sigma) => sigma * count) };
}

/** Draws u in 0 .. 1, which becomes the index of a timestep: logit-normal, as in SD3 (arXiv:2403.03206, section 3.1). */
export function drawU(random: { normal(): number }): number {
  return 1 / (1 + Math.exp(-random.normal()));
}

/** u -> 0 .. count-1; multiplied in float32, which decides the index just below whole numbers. */
export function timestepIndex(u: number, count = TIMESTEPS): number {
  return Math.min(Math.max(Math.floor(Math.fround(Math.fround(u) * count)), 0), count - 1);
}
