// The key-value cache, on the host: the step graph takes it as inputs and returns only the new rows, so a step moves
// few bytes. One row of typed arrays for each layer, [K, capacity, E]; grows by doubling.

import { f32, type HostTensor } from "../runtime/host-tensor.ts";

export interface CacheShape {
  readonly layers: number;
  /** K */
  readonly heads: number;
  /** E */
  readonly width: number;
  /** B, 1 unless said. */
  readonly batch?: number;
}

const FIRST_CAPACITY = 64;

export class KeyValueCache {
  readonly shape: CacheShape;
  #length = 0;
  #capacity = 0;
  /** Layer l's keys at 2l, its values at 2l+1. */
  #rows: Float32Array[];
  #feeds: Record<string, HostTensor>;

  constructor(shape: CacheShape) {
    this.shape = shape;
    this.#rows = [];
    // A session must be fed something before there is anything: one hidden row.
    this.#feeds = this.#makeFeeds(1, () => new Float32Array(this.#heads * shape.width));
  }

  /** Positions held. */
  get length(): number {
    return this.#length;
  }

  /** C of the tensors that `feeds` returns. */
  get feedCapacity(): number {
    return Math.max(this.#capacity, 1);
  }

  /** Inputs `keys.{l}` and `values.{l}` [B, K, C, E]; rows from `length` on are not meaningful. */
  feeds(): Readonly<Record<string, HostTensor>> {
    return this.#feeds;
  }

  /** Adds T positions: added [2*layers*B, K, T, E], keys and values of each layer in turn. */
  append(added: Float32Array, T: number): void {
    const { layers, width } = this.shape;
    this.reserve(this.#length + T);
    const heads = this.#heads;
    for (let i = 0; i < 2 * layers; i++) {
      const rows = this.#rows[i]!;
      for (let h = 0; h < heads; h++) {
        const from = (i * heads + h) * T * width;
        rows.set(added.subarray(from, from + T * width), (h * this.#capacity + this.#length) * width);
      }
    }
    this.#length += T;
  }

  /** Makes room for `length` positions, at least doubling. */
  reserve(length: number): void {
    if (length <= this.#capacity) return;
    const capacity = Math.max(length, 2 * this.#capacity, FIRST_CAPACITY);
    const { layers, width } = this.shape;
    const old = this.#rows;
    this.#rows = Array.from({ length: 2 * layers }, (_, i) => {
      const rows = new Float32Array(this.#heads * capacity * width);
      const before = old[i];
      for (let h = 0; before && h < this.#heads; h++) {
        const from = h * this.#capacity * width;
        rows.set(before.subarray(from, from + this.#length * width), h * capacity * width);
      }
      return rows;
    });
    this.#capacity = capacity;
    this.#feeds = this.#makeFeeds(capacity, (i) => this.#rows[i]!);
  }

  /** Forgets what comes after the first `length` positions. */
  truncate(length: number): void {
    this.#length = Math.min(this.#length, length);
  }

  get #heads(): number {
    return this.shape.heads * (this.shape.batch ?? 1);
  }

  #makeFeeds(capacity: number, rows: (i: number) => Float32Array): Record<string, HostTensor> {
    const { layers, heads, width, batch = 1 } = this.shape;
    const feeds: Record<string, HostTensor> = {};
    for (let i = 0; i < 2 * layers; i++) feeds[cacheInput(i)] = f32(rows(i), [batch, heads, capacity, width]);
    return feeds;
  }
}

/** Name of the graph input for the keys (even i) or values (odd i) of layer floor(i/2). */
export function cacheInput(i: number): string {
  return `${i % 2 === 0 ? "keys" : "values"}.${Math.floor(i / 2)}`;
}
