// AdamW over a parameter store, in PyTorch's form: decoupled weight decay, bias correction, eps outside the root.
// Gradients are clipped by value (each element, as the reference does) or by norm (of all together).

import type { ParameterStore, Region } from "./parameter-store.ts";

export interface AdamWOptions {
  readonly betas: readonly [number, number];
  readonly eps: number;
  readonly weightDecay: number;
  /** Each gradient element is clamped to [-clipValue, clipValue]. */
  readonly clipValue?: number | undefined;
  /** All gradients are scaled down together so that their L2 norm is at most this. */
  readonly clipNorm?: number | undefined;
  /** Factor on a parameter's learning rate; 1 for all by default. */
  readonly rateFactor?: ((path: string) => number) | undefined;
  /** Whether a parameter decays; all do by default. */
  readonly decays?: ((path: string) => boolean) | undefined;
}

interface Range {
  readonly offset: number;
  length: number;
  readonly factor: number;
  readonly decay: number;
}

export class AdamW {
  readonly #store: ParameterStore;
  readonly #options: AdamWOptions;
  readonly #ranges: Range[] = [];

  /** Updates the parameters that `hasGradient` names; the others are skipped entirely, without decay. */
  constructor(store: ParameterStore, options: AdamWOptions, hasGradient: (path: string) => boolean = () => true) {
    this.#store = store;
    this.#options = options;
    for (const { path, offset, length } of store.parameters.values()) {
      if (!hasGradient(path)) continue;
      const factor = options.rateFactor?.(path) ?? 1;
      const decay = (options.decays?.(path) ?? true) ? options.weightDecay : 0;
      const last = this.#ranges.at(-1);
      const padded = Math.ceil(length / 16) * 16;
      if (last && last.offset + last.length === offset && last.factor === factor && last.decay === decay)
        last.length += padded;
      else this.#ranges.push({ offset, length: padded, factor, decay });
    }
  }

  /**
   * One update from the gradients in `region`, which are clipped in place.
   * `step` counts from 1. Returns the L2 norm of the gradients: before clipping by norm, after clipping by value.
   */
  update(step: number, rate: number, region: Region = "gradients"): number {
    const { betas, eps, clipValue, clipNorm } = this.#options;
    const { kernels } = this.#store;
    let squares = 0;
    for (const { offset, length } of this.#ranges) {
      const address = this.#store.address(region, offset);
      if (clipValue !== undefined) kernels.clamp(address, length * 4, clipValue);
      squares += kernels.sumSquares(address, length * 4);
    }
    const norm = Math.sqrt(squares);
    const shrink = clipNorm !== undefined && norm > clipNorm ? clipNorm / norm : 1;
    const [b1, b2] = betas;
    const correction = Math.sqrt(1 - b2 ** step);
    for (const { offset, length, factor, decay } of this.#ranges) {
      const at = (name: Region) => this.#store.address(name, offset);
      if (shrink !== 1) kernels.blend(at(region), at(region), length * 4, shrink, 0);
      const scaled = rate * factor;
      // p -= lr (m / c1) / (sqrt(v) / c2 + eps), multiplied through by c2 so that v needs no correction.
      const step1 = (scaled * correction) / (1 - b1 ** step);
      kernels.adamw(
        at("values"),
        at("firstMoments"),
        at("secondMoments"),
        at(region),
        length * 4,
        b1,
        b2,
        1 - scaled * decay,
        step1,
        eps * correction,
      );
    }
    return norm;
  }
}
