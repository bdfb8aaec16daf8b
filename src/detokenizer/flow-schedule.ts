// Noise levels of flow matching: sigma is the share of noise in x_t = (1 - sigma) x_0 + sigma * noise, from 0 to 1.
// Training draws one for each sample; solvers walk a falling list of them. The model reads sigma * 1000 without its fraction,
// so the last bit can decide between two timesteps: each schedule is computed at the reference's precision, step by step.

/** The release's shift: more of the steps at high noise, where the layout of a large image is decided. */
export const DEFAULT_SHIFT = 3;

export const TIMESTEPS = 1000;

/** Bends noise levels towards 1 (shift > 1); 0 and 1 stay. */
export function shiftSigma(sigma: number, shift: number): number {
  return (shift * sigma) / (1 + (shift - 1) * sigma);
}

/** The same in float32, each operation rounded, as numpy and torch compute it there. */
function shiftSigmaSingle(sigma: number, shift: number): number {
  const f = Math.fround;
  const s = f(sigma);
  return f(f(f(shift) * s) / f(1 + f(f(shift - 1) * s)));
}

/** Value k of numpy's linspace with `count` values, in float64. */
function linspace(start: number, stop: number, count: number, k: number): number {
  return k > 0 && k === count - 1 ? stop : k * ((stop - start) / (count - 1 || 1)) + start;
}

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

/** How u in 0 .. 1 is drawn, which becomes the index of a timestep; names as in SD3 (arXiv:2403.03206, section 3.1). */
export type Weighting =
  | { readonly kind: "logit-normal"; readonly mean?: number; readonly std?: number }
  | { readonly kind: "mode"; readonly scale?: number }
  | { readonly kind: "uniform" };

/** Draws u in 0 .. 1. */
export function drawU(weighting: Weighting, random: { uniform(): number; normal(): number }): number {
  if (weighting.kind === "logit-normal") {
    return 1 / (1 + Math.exp(-((weighting.mean ?? 0) + (weighting.std ?? 1) * random.normal())));
  }
  const u = random.uniform();
  return weighting.kind === "mode" ? modeDensity(u, weighting.scale ?? 1.29) : u;
}

/** Moves a uniform u to where the density has its mode; scale s within -1 .. 1.75 keeps it monotonic. */
export function modeDensity(u: number, scale: number): number {
  return 1 - u - scale * (Math.cos((Math.PI * u) / 2) ** 2 - 1 + u);
}

/** u -> 0 .. count-1; multiplied in float32, which decides the index just below whole numbers. */
export function timestepIndex(u: number, count = TIMESTEPS): number {
  return Math.min(Math.max(Math.floor(Math.fround(Math.fround(u) * count)), 0), count - 1);
}

/**
 * The Euler sigmas of the release's demo and of Kelix: steps + 1 values, 1 .. 1/steps shifted, then 0. diffusers shifts the
 * sigmas that it is given in float32.
 */
export function demoSigmas(steps: number, shift = DEFAULT_SHIFT): Float32Array {
  const sigma = (k: number) => (k === steps ? 0 : shiftSigmaSingle(linspace(1, 1 / steps, steps, k), shift));
  return Float32Array.from({ length: steps + 1 }, (_, k) => sigma(k));
}

/**
 * The Euler sigmas that diffusers makes when it is given none: steps + 1 values, from 1 to the smallest training
 * sigma, which is shifted already and with all others shifted again, in float64, then 0.
 */
export function defaultSigmas(steps: number, shift = DEFAULT_SHIFT): Float32Array {
  const smallest = shiftSigmaSingle(1 / TIMESTEPS, shift);
  const timestep = (k: number) => linspace(TIMESTEPS, TIMESTEPS * smallest, steps, k);
  return Float32Array.from({ length: steps + 1 }, (_, k) =>
    k === steps ? 0 : shiftSigma(timestep(k) / TIMESTEPS, shift),
  );
}

/** What the model is told at each sigma but the last 0, where it is not asked. */
export function modelTimesteps(sigmas: Float32Array): Float32Array {
  return sigmas.subarray(0, -1).map((sigma) => sigma * TIMESTEPS);
}
