// Counter-based random numbers: a value depends on the seed, the stream and the index alone, never on the order of calls.
// Threefry-2x32 with 13 rounds (Salmon et al., "Parallel random numbers: as easy as 1, 2, 3", 2011): additions, rotations
// and exclusive-ors of 32-bit words, the same on every platform.

const PARITY = 0x1bd11bda;
const ROUNDS = 13;
const ROTATIONS = [13, 15, 26, 6, 17, 29, 16, 24] as const;

export class CounterRandom {
  readonly #key0: number;
  readonly #key1: number;
  readonly #key2: number;
  /** The second word of the last block. */
  #second = 0;

  constructor(key0: number, key1: number) {
    this.#key0 = key0 | 0;
    this.#key1 = key1 | 0;
    this.#key2 = PARITY ^ key0 ^ key1;
  }

  /** 32 uniform bits. index: 0 .. 2^53-1. */
  uint32(index: number): number {
    return this.#block(index | 0, Math.floor(index / 2 ** 32) | 0) >>> 0;
  }

  /** Uniform in [0, 1), 53 bits. */
  uniform(index: number): number {
    const high = this.uint32(index) >>> 5;
    return (high * 2 ** 26 + (this.#second >>> 6)) / 2 ** 53;
  }

  /** Standard normal (Box and Muller, 1958). */
  normal(index: number): number {
    const radius = Math.sqrt(-2 * Math.log((this.uint32(index) + 0.5) / 2 ** 32));
    return radius * Math.cos((2 * Math.PI * (this.#second >>> 0)) / 2 ** 32);
  }

  /** Whole number, uniform in 0 .. n-1. */
  integer(index: number, n: number): number {
    return Math.floor(this.uniform(index) * n);
  }

  /** An independent generator named by a string or a number. */
  fork(stream: string | number): CounterRandom {
    const [low, high] = typeof stream === "number" ? [stream | 0, Math.floor(stream / 2 ** 32) | 0] : hash(stream);
    const first = this.#block(low, high ^ 0x5bf03635);
    return new CounterRandom(first, this.#second);
  }

  /** Walks indices 0, 1, 2, .. for code that wants "the next" number. */
  sequence(): { uniform(): number; normal(): number; integer(n: number): number; pick<T>(items: readonly T[]): T } {
    let index = 0;
    return {
      uniform: () => this.uniform(index++),
      normal: () => this.normal(index++),
      integer: (n) => this.integer(index++, n),
      pick: (items) => items[this.integer(index++, items.length)] as never,
    };
  }

  /** Fills with standard normal values of indices start, start + 1, .. */
  fillNormal(target: Float32Array, start = 0): Float32Array {
    for (let i = 0; i < target.length; i++) target[i] = this.normal(start + i);
    return target;
  }

  #block(low: number, high: number): number {
    let x0 = (low + this.#key0) | 0;
    let x1 = (high + this.#key1) | 0;
    for (let round = 0; round < ROUNDS; round++) {
      const turn = ROTATIONS[round & 7] as number;
      x0 = (x0 + x1) | 0;
      x1 = ((x1 << turn) | (x1 >>> (32 - turn))) ^ x0;
      if ((round & 3) === 3) {
        const injection = (round >> 2) + 1;
        x0 = (x0 + this.#word(injection)) | 0;
        x1 = (x1 + this.#word(injection + 1) + injection) | 0;
      }
    }
    this.#second = x1;
    return x0;
  }

  #word(i: number): number {
    const at = i % 3;
    return at === 0 ? this.#key0 : at === 1 ? this.#key1 : this.#key2;
  }
}

/** The generator of a seed (a whole number below 2^53) and a stream within it. */
export function counterRandom(seed: number, stream: string | number = 0): CounterRandom {
  if (!Number.isSafeInteger(seed) || seed < 0) throw new Error(`Expected a seed from 0 to 2^53 - 1, got ${seed}`);
  return new CounterRandom(seed | 0, Math.floor(seed / 2 ** 32) | 0).fork(stream);
}

/** Two 32-bit words of a string (FNV-1a, forwards and with another offset). */
function hash(text: string): [number, number] {
  let a = 0x811c9dc5;
  let b = 0x01234567;
  for (let i = 0; i < text.length; i++) {
    const unit = text.charCodeAt(i);
    a = Math.imul(a ^ unit, 0x01000193);
    b = Math.imul(b ^ (unit + i), 0x85ebca6b);
  }
  return [a, b ^ (b >>> 15)];
}
