// Noise levels of flow matching: sigma is the share of noise in x_t = (1 - sigma) x_0 + sigma * noise, from 0 to 1.
// Training draws one for each sample (train/flow-schedule.ts); solvers walk a falling list of them. The model reads sigma * 1000 without its fraction,
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
