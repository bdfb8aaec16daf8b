// Random weights by the gigabyte: normal bf16 numbers are drawn once and then read again and again, each tensor beginning at a
// place of its own. Drawing every number by itself would take hours.

import { bf16ToF32 } from "../../src/checkpoint/bfloat16.ts";
import { f32ToBf16 } from "../../src/quantize/to-bfloat16.ts";
import { counterRandom } from "../../src/random/counter.ts";

/** Standard deviations that are kept ready: a layer has half as many, and each takes as much memory as the pool. */
const MAX_SCALED = 12;

export class NormalNumbers {
  readonly #seed: number;
  readonly #standard: Uint16Array;
  /** The numbers by their standard deviation, the longest unused first. */
  readonly #scaled = new Map<number, Uint16Array>();

  /** `size` numbers are drawn: a prime, so that no two rows of a matrix are alike, however often they go round. */
  constructor(seed: number, size: number) {
    this.#seed = seed;
    this.#standard = f32ToBf16(counterRandom(seed, "weights").fillNormal(new Float32Array(size)));
  }

  /** Fills with N(0, std^2) in bf16, going on in the sequence of the tensor `name` at its element `offset`. */
  fill(target: Uint16Array, name: string, offset: number, std: number): void {
    const numbers = this.#at(std);
    const start = counterRandom(this.#seed, name).integer(0, numbers.length);
    for (let done = 0; done < target.length; ) {
      const from = (start + offset + done) % numbers.length;
      const length = Math.min(target.length - done, numbers.length - from);
      target.set(numbers.subarray(from, from + length), done);
      done += length;
    }
  }

  #at(std: number): Uint16Array {
    const numbers = this.#scaled.get(std) ?? this.#scale(std);
    this.#scaled.delete(std);
    this.#scaled.set(std, numbers);
    for (const oldest of this.#scaled.keys()) {
      if (this.#scaled.size <= MAX_SCALED) break;
      this.#scaled.delete(oldest);
    }
    return numbers;
  }

  #scale(std: number): Uint16Array {
    // Every bf16 number times std, so that scaling is a look-up.
    const all = bf16ToF32(Uint16Array.from({ length: 65_536 }, (_, bits) => bits));
    const scaled = f32ToBf16(all.map((value) => value * std));
    return this.#standard.map((bits) => scaled[bits]!);
  }
}
