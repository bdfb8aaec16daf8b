// The key-value cache, on the host: the trunk takes it as inputs, where it lies, and returns only the new rows, so a step moves
// few bytes. One typed array for each layer's keys and one for its values, [K, capacity, E].
//
// Attention reads the whole capacity, used or not, so it follows the length in small steps; the arrays behind have more room,
// and a step only moves the heads apart inside them.

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

const LEAST_STEP = 32;
/** Of a power of two: at most an eighth of the rows that attention reads are then unused (from 256 positions on). */
const STEPS = 16;

/** The rows that a cache of `length` positions offers to attention. */
export function cacheCapacity(length: number): number {
  const step = Math.max(LEAST_STEP, 2 ** Math.ceil(Math.log2(length)) / STEPS);
  return Math.ceil(length / step) * step;
}

export class KeyValueCache {
  readonly shape: CacheShape;
  #length = 0;
  #capacity = 0;
  /** Positions that the arrays have room for. */
  #room = 0;
  /** Layer l's keys at 2l, its values at 2l+1. */
  #rows: Float32Array[] = [];
  readonly #empty: Record<string, HostTensor>;
  #feeds: Record<string, HostTensor>;

  constructor(shape: CacheShape) {
    this.shape = shape;
    // A session must be fed something before there is anything: one hidden row.
    this.#empty = this.#makeFeeds(1, () => new Float32Array(this.#heads * shape.width));
    this.#feeds = this.#empty;
  }

  /** Positions held. */
  get length(): number {
    return this.#length;
  }

  /** C of the tensors that `feeds` returns. */
  get feedCapacity(): number {
    return this.#length === 0 ? 1 : this.#capacity;
  }

  /** What the arrays take in memory. */
  get bytes(): number {
    return this.#rows.reduce((sum, { byteLength }) => sum + byteLength, 0);
  }

  /** Inputs `keys.{l}` and `values.{l}` [B, K, 1, C, E]; rows from `length` on are not meaningful. */
  feeds(): Readonly<Record<string, HostTensor>> {
    return this.#length === 0 ? this.#empty : this.#feeds;
  }

  /** Adds T positions: added [2*layers*B, K, 1, T, E], keys and values of each layer in turn. */
  append(added: Float32Array, T: number): void {
    const { width } = this.shape;
    const length = this.#length + T;
    if (length > this.#capacity) this.#spread(cacheCapacity(length));
    const heads = this.#heads;
    for (const [i, rows] of this.#rows.entries()) {
      for (let h = 0; h < heads; h++) {
        const from = (i * heads + h) * T * width;
        rows.set(added.subarray(from, from + T * width), (h * this.#capacity + this.#length) * width);
      }
    }
    this.#length = length;
  }

  /** Forgets what comes after the first `length` positions. */
  truncate(length: number): void {
    if (length >= this.#length) return;
    this.#length = length;
    const enough = cacheCapacity(length);
    if (length === 0 || 2 * enough >= this.#capacity) return;
    this.#room = 0; // smaller arrays: the memory is for others
    this.#spread(enough);
  }

  /** Another cache that holds the first `length` positions of this one. */
  fork(length: number): KeyValueCache {
    const copy = new KeyValueCache(this.shape);
    const held = Math.min(length, this.#length);
    if (held === 0) return copy;
    copy.#spread(cacheCapacity(held));
    const { width } = this.shape;
    for (const [i, rows] of this.#rows.entries()) {
      for (let h = 0; h < this.#heads; h++) {
        const from = h * this.#capacity * width;
        copy.#rows[i]!.set(rows.subarray(from, from + held * width), h * copy.#capacity * width);
      }
    }
    copy.#length = held;
    return copy;
  }

  get #heads(): number {
    return this.shape.heads * (this.shape.batch ?? 1);
  }

  /** Lays the heads' rows `capacity` positions apart, in new arrays when these have no room. */
  #spread(capacity: number): void {
    const { layers, width } = this.shape;
    const heads = this.#heads;
    const isRoomy = capacity <= this.#room;
    if (!isRoomy) this.#room = Math.max(capacity, 2 * this.#room);
    const length = this.#length * width;
    const [apart, before] = [capacity * width, this.#capacity * width];
    this.#rows = Array.from({ length: 2 * layers }, (_, i) => {
      const old = this.#rows[i];
      const rows = old && isRoomy ? old : new Float32Array(heads * this.#room * width);
      // From the last head on, so that within the same array no row is written over before it has moved.
      for (let h = heads - 1; h >= 0; h--) {
        if (old === rows) rows.copyWithin(h * apart, h * before, h * before + length);
        else if (old) rows.set(old.subarray(h * before, h * before + length), h * apart);
      }
      return rows;
    });
    this.#capacity = capacity;
    this.#feeds = this.#makeFeeds(capacity, (i) => this.#rows[i]!.subarray(0, heads * apart));
  }

  #makeFeeds(capacity: number, rows: (i: number) => Float32Array): Record<string, HostTensor> {
    const { layers, heads, width, batch = 1 } = this.shape;
    const feeds: Record<string, HostTensor> = {};
    for (let i = 0; i < 2 * layers; i++) feeds[cacheInput(i)] = f32(rows(i), [batch, heads, 1, capacity, width]);
    return feeds;
  }
}

/** Name of the graph input for the keys (even i) or values (odd i) of layer floor(i/2). */
export function cacheInput(i: number): string {
  return `${i % 2 === 0 ? "keys" : "values"}.${Math.floor(i / 2)}`;
}
