// DPM-Solver++, the reference's second solver. No product path draws with it: it is here to reproduce the reference's numbers.

import { DEFAULT_SHIFT, shiftSigma, TIMESTEPS } from "../../src/detokenizer/flow-schedule.ts";
import { along, type SamplerOptions, type Velocity } from "../../src/detokenizer/samplers.ts";

/**
 * DPM-Solver++ of second order, multistep (arXiv:2211.01095), for the flow's alpha = 1 - t, sigma = t.
 * times: falling to 0, one more than steps. First and last step are of first order: at t = 0 the second would divide by infinity.
 */
export async function sampleDpm(
  velocity: Velocity,
  noise: Float32Array,
  times: ArrayLike<number>,
  options: SamplerOptions = {},
): Promise<Float32Array> {
  const steps = times.length - 1;
  let x = noise;
  let previous: Float32Array | undefined; // the model's estimate of x0 one step ago
  for (let i = 0; i < steps; i++) {
    options.signal?.throwIfAborted();
    const [s, t] = [times[i]!, times[i + 1]!];
    const v = await velocity(x, s * 1000);
    const x0 = along(x, v, -s);
    const h = halfLogSnr(t) - halfLogSnr(s);
    const weight = -(1 - t) * Math.expm1(-h);
    const next = new Float32Array(x.length);
    if (previous === undefined || i === steps - 1) {
      for (let k = 0; k < next.length; k++) next[k] = (t / s) * x[k]! + weight * x0[k]!;
    } else {
      const half = (0.5 * h) / (halfLogSnr(s) - halfLogSnr(times[i - 1]!));
      for (let k = 0; k < next.length; k++) {
        next[k] = (t / s) * x[k]! + weight * (x0[k]! + half * (x0[k]! - previous[k]!));
      }
    }
    previous = x0;
    x = next;
    await options.onStep?.({ step: i + 1, latents: x, velocity: v, estimate: () => x0 });
  }
  return x;
}

/**
 * The times of DPM-Solver++ with steps evaluations: steps + 1 values from the largest training sigma to 0. In float64: the last
 * bits of the reference's depend on its processor's vectors, which at shift 3 no whole timestep shows.
 */
export function dpmTimes(steps: number, shift = DEFAULT_SHIFT): Float32Array {
  const largest = 1 - 1 / TIMESTEPS;
  return Float32Array.from({ length: steps + 1 }, (_, k) => shiftSigma(largest * (1 - k / steps), shift));
}

/** Lambda of the paper: ln(alpha / sigma). Infinite at t = 0. */
function halfLogSnr(t: number): number {
  return Math.log(1 - t) - Math.log(t);
}
