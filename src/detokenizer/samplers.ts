// Solvers of the flow's differential equation: noise -> latents, in a few evaluations of the model.
// They know neither the model nor guidance: `velocity` is given latents and a timestep (1000 times sigma) and answers.

/** The velocity at latents x and timestep (0 to 1000); x may not be kept or changed. */
export type Velocity = (x: Float32Array, timestep: number) => Promise<Float32Array>;

export interface SamplerStep {
  /** Steps done so far, from 1. */
  readonly step: number;
  /** Latents after this step. */
  readonly latents: Float32Array;
  /** The velocity that led here. */
  readonly velocity: Float32Array;
  /** What the finished latents would be if the velocity stayed as it is: for previews. */
  estimate(): Float32Array;
}

export interface SamplerOptions {
  readonly signal?: AbortSignal | undefined;
  readonly onStep?: ((step: SamplerStep) => void | Promise<void>) | undefined;
}

/** Euler's method. sigmas: from 1 (noise) to 0, one more than steps. Throws the signal's reason when aborted. */
export async function sampleEuler(
  velocity: Velocity,
  noise: Float32Array,
  sigmas: ArrayLike<number>,
  options: SamplerOptions = {},
): Promise<Float32Array> {
  const steps = sigmas.length - 1;
  let x = noise;
  for (let i = 0; i < steps; i++) {
    options.signal?.throwIfAborted();
    const [sigma, next] = [sigmas[i]!, sigmas[i + 1]!];
    const v = await velocity(x, sigma * 1000);
    const before = x;
    x = along(before, v, next - sigma);
    await options.onStep?.({ step: i + 1, latents: x, velocity: v, estimate: () => along(before, v, -sigma) });
  }
  return x;
}

/**
 * Guidance from a batch [uncond, cond]: v_u + scale (v_c - v_u) (classifier-free guidance, arXiv:2207.12598).
 * both: two velocities one after the other.
 */
export function guide(both: Float32Array, scale: number): Float32Array {
  const size = both.length / 2;
  const out = new Float32Array(size);
  for (let k = 0; k < size; k++) out[k] = both[k]! + scale * (both[size + k]! - both[k]!);
  return out;
}

/** x + length * v */
export function along(x: Float32Array, v: Float32Array, length: number): Float32Array {
  return x.map((value, k) => value + length * v[k]!);
}
