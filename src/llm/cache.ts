// The key-value cache. What the trunk returns for the blocks that it reads is kept as it came and never changed, so sequences
// that begin alike share it (CacheRows). The trunk itself reads from an arena: one array for each layer's keys and one for its
// values, [slots, K, capacity, E], where each sequence has a slot. A slot is only a copy of what its sequence has: before a run
// those of its sequences are brought up to date, which after a step means one row.
//
// A run reads neighbouring slots, and of each the whole capacity, used or not; so the capacity follows the longest sequence in
// small steps.

import { f32, type HostTensor } from "../runtime/host-tensor.ts";

export interface CacheShape {
  readonly layers: number;
  /** K */
  readonly heads: number;
  /** E */
  readonly width: number;
}

/** Keys and values of `count` positions of a sequence: those from `start` on of `data`, which holds T. Never changed. */
export interface CacheRows {
  /** [2*layers, K, 1, T, E], keys and values of each layer in turn. */
  readonly data: Float32Array;
  readonly T: number;
  readonly start: number;
  readonly count: number;
}

/** What a run of the trunk is fed: n neighbouring slots. */
export interface LoadedCache {
  /** Inputs `keys.{l}` and `values.{l}` [n, K, 1, C, E]; rows beyond a sequence's length are not meaningful. */
  readonly feeds: Readonly<Record<string, HostTensor>>;
  readonly n: number;
  /** C */
  readonly capacity: number;
  /** Which of the n slots holds which sequence. Others may lie between. */
  readonly slots: readonly number[];
}

const LEAST_STEP = 32;
/** Of a power of two: at most an eighth of the rows that attention reads are then unused (from 256 positions on). */
const STEPS = 16;

/** The rows that a cache of `length` positions offers to attention. */
export function cacheCapacity(length: number): number {
  const step = Math.max(LEAST_STEP, 2 ** Math.ceil(Math.log2(length)) / STEPS);
  return Math.max(LEAST_STEP, Math.ceil(length / step) * step);
}

/** Name of the graph input for the keys (even i) or values (odd i) of layer floor(i/2). */
export function cacheInput(i: number): string {
  return `${i % 2 === 0 ? "keys" : "values"}.${Math.floor(i / 2)}`;
}

/** How many sequences of so many positions have slots in an arena of `maxBytes`: at least one. */
export function mostSlots({ layers, heads, width }: CacheShape, length: number, maxBytes: number): number {
  const position = 2 * layers * heads * width * Float32Array.BYTES_PER_ELEMENT;
  return Math.max(1, Math.floor(maxBytes / (cacheCapacity(length) * position)));
}

/** Positions of rows. */
export function countPositions(rows: readonly CacheRows[]): number {
  return rows.reduce((sum, { count }) => sum + count, 0);
}

/** Memory of rows, each piece counted once however many sequences have it. */
export function rowBytes(rows: readonly CacheRows[]): number {
  return [...new Set(rows.map(({ data }) => data))].reduce((sum, { byteLength }) => sum + byteLength, 0);
}

/** The first `length` positions. */
export function firstPositions(rows: readonly CacheRows[], length: number): CacheRows[] {
  const first: CacheRows[] = [];
  for (let left = length, i = 0; left > 0 && i < rows.length; i++) {
    const count = Math.min(left, rows[i]!.count);
    first.push(count === rows[i]!.count ? rows[i]! : { ...rows[i]!, count });
    left -= count;
  }
  return first;
}

/** Loads for which a slot that nobody uses stays as it is, if there is a choice, and its length counts for the capacity. */
const RECENT_LOADS = 16;
/** A smaller capacity is worth moving everything where this many times it is offered. */
const MOST_EXCESS = 1.25;
/** Slots of others that a run may compute in vain, rather than have its own moved together. */
const MOST_BETWEEN = 2;

interface Slot {
  /** What it holds. */
  rows: readonly CacheRows[];
  length: number;
  usedAt: number;
}

export class CacheArena {
  readonly #shape: CacheShape;
  readonly #maxBytes: number;
  #slots: Slot[] = [];
  #capacity = LEAST_STEP;
  #arrays: Float32Array[];
  #loads = 0;
  /** Kept for runs of the same slots. */
  #last: { readonly first: number; readonly n: number; readonly feeds: LoadedCache["feeds"] } | undefined;

  /** Grows up to `maxBytes`, and beyond for a single sequence only. */
  constructor(shape: CacheShape, maxBytes: number) {
    this.#shape = shape;
    this.#maxBytes = maxBytes;
    this.#arrays = Array.from({ length: 2 * shape.layers }, () => new Float32Array(0));
  }

  get bytes(): number {
    return this.#arrays.reduce((sum, { byteLength }) => sum + byteLength, 0);
  }

  /** Puts sequences, at most `mostSlots` of the longest, into neighbouring slots. What is returned is good until the next call. */
  load(sequences: readonly (readonly CacheRows[])[]): LoadedCache {
    this.#loads++;
    const lengths = sequences.map(countPositions);
    this.#fit(Math.max(...lengths), sequences.length);
    const { first, n, slots } = this.#place(sequences, lengths);
    for (const [i, rows] of sequences.entries()) this.#copy(rows, lengths[i]!, first + slots[i]!);
    return this.#feed(first, n, slots);
  }

  /** Chooses capacity and number of slots; what slots hold stays where it fits. */
  #fit(longest: number, count: number): void {
    const recent = this.#slots.filter((slot) => this.#isRecent(slot)).map(({ length }) => length);
    const wanted = cacheCapacity(Math.max(longest, ...recent));
    const isExcessive = this.#capacity > MOST_EXCESS * wanted;
    const capacity = wanted > this.#capacity || isExcessive ? wanted : this.#capacity;
    const most = Math.max(count, mostSlots(this.#shape, capacity, this.#maxBytes));
    // A slot more where all are in use, so that sequences in turns do not displace each other.
    const free = this.#slots.filter((slot) => !this.#isRecent(slot)).length;
    const slots = Math.min(most, Math.max(count, this.#slots.length + (free === 0 ? 1 : 0)));
    if (capacity === this.#capacity && slots === this.#slots.length) return;
    this.#last = undefined;
    this.#spread(slots, capacity);
  }

  /** Lays the heads' rows `capacity` positions apart, in new arrays where these have no room or far too much. */
  #spread(count: number, capacity: number): void {
    const { heads, width } = this.#shape;
    const kept = this.#slots.slice(0, count);
    const [apart, before] = [capacity * width, this.#capacity * width];
    const length = Math.min(apart, before);
    const size = count * heads * apart;
    this.#arrays = this.#arrays.map((old) => {
      const isRoomy = size <= old.length && old.length <= 4 * size;
      const roomy = Math.min(1.5 * old.length, this.#maxBytes / 4 / this.#arrays.length);
      const rows = isRoomy ? old : new Float32Array(size > old.length ? Math.max(size, Math.floor(roomy)) : size);
      const heldHeads = kept.length * heads;
      // Within the same array no row may be written over before it has moved.
      for (let i = 0; i < heldHeads; i++) {
        const h = apart > before ? heldHeads - 1 - i : i;
        if (old === rows) rows.copyWithin(h * apart, h * before, h * before + length);
        else rows.set(old.subarray(h * before, h * before + length), h * apart);
      }
      return rows;
    });
    this.#capacity = capacity;
    for (const slot of kept) {
      if (slot.length <= capacity) continue;
      slot.rows = firstPositions(slot.rows, capacity);
      slot.length = capacity;
    }
    while (kept.length < count) kept.push({ rows: [], length: 0, usedAt: Number.NEGATIVE_INFINITY });
    this.#slots = kept;
  }

  #isRecent({ usedAt }: Slot): boolean {
    return usedAt > this.#loads - RECENT_LOADS;
  }

  /** Finds the neighbouring slots that cost the fewest copied rows, of these sequences now and of others soon. */
  #place(sequences: readonly (readonly CacheRows[])[], lengths: readonly number[]) {
    const homes = this.#homes(sequences);
    const n = sequences.length;
    let best = { cost: Number.POSITIVE_INFINITY, first: 0, n, slots: [] as number[] };
    for (let first = 0; first + n <= this.#slots.length; first++) {
      for (let end = first + n; end <= Math.min(first + n + MOST_BETWEEN, this.#slots.length); end++) {
        const isInside = (slot: number | undefined): slot is number =>
          slot !== undefined && slot >= first && slot < end;
        const free = Array.from({ length: end - first }, (_, i) => first + i).filter((slot) => !homes.includes(slot));
        free.sort((a, b) => this.#slots[a]!.usedAt - this.#slots[b]!.usedAt);
        let cost = 0;
        const slots = homes.map((home, i) => {
          if (isInside(home)) return home - first;
          const slot = free.shift();
          if (slot === undefined) return -1;
          cost += lengths[i]! + (this.#isRecent(this.#slots[slot]!) ? this.#slots[slot]!.length : 0);
          return slot - first;
        });
        // Computed in vain: cheaper than moving once where its sequence may come back at the next step, dearer in the long run.
        for (const slot of free) cost += this.#capacity * (this.#isRecent(this.#slots[slot]!) ? 0.5 : 2);
        if (cost < best.cost && !slots.includes(-1)) best = { cost, first, n: end - first, slots };
      }
    }
    return best;
  }

  /** For each sequence the slot that holds most of its beginning, and of nobody else more. */
  #homes(sequences: readonly (readonly CacheRows[])[]): (number | undefined)[] {
    const taken = new Set<number>();
    return sequences.map((rows) => {
      let [home, most] = [undefined as number | undefined, 0];
      for (const [s, slot] of this.#slots.entries()) {
        const held = taken.has(s) ? 0 : sharedPositions(slot.rows, rows);
        const lost = this.#isRecent(slot) ? slot.length - held : 0;
        if (held - lost > most) [home, most] = [s, held - lost];
      }
      if (home !== undefined) taken.add(home);
      return home;
    });
  }

  /** Makes a slot hold these rows: copies those that it has not. */
  #copy(rows: readonly CacheRows[], length: number, s: number): void {
    const { heads, width: E } = this.#shape;
    const slot = this.#slots[s]!;
    const held = sharedPositions(slot.rows, rows);
    let at = 0;
    for (const { data, T, start, count } of rows) {
      const skipped = Math.min(Math.max(held - at, 0), count);
      const size = (count - skipped) * E;
      if (size > 0) {
        for (const [i, array] of this.#arrays.entries()) {
          for (let h = 0; h < heads; h++) {
            const from = ((i * heads + h) * T + start + skipped) * E;
            array.set(data.subarray(from, from + size), ((s * heads + h) * this.#capacity + at + skipped) * E);
          }
        }
      }
      at += count;
    }
    Object.assign(slot, { rows: [...rows], length, usedAt: this.#loads });
  }

  #feed(first: number, n: number, slots: readonly number[]): LoadedCache {
    const { heads, width } = this.#shape;
    if (this.#last?.first !== first || this.#last.n !== n) {
      const size = heads * this.#capacity * width;
      const part = (array: Float32Array) => array.subarray(first * size, (first + n) * size);
      const shape = [n, heads, 1, this.#capacity, width];
      const feeds = Object.fromEntries(this.#arrays.map((array, i) => [cacheInput(i), f32(part(array), shape)]));
      this.#last = { first, n, feeds };
    }
    return { feeds: this.#last.feeds, n, capacity: this.#capacity, slots };
  }
}

/** How many positions two rows of positions have in common at their beginnings. */
function sharedPositions(a: readonly CacheRows[], b: readonly CacheRows[]): number {
  let shared = 0;
  for (let i = 0; i < a.length && i < b.length; i++) {
    const [x, y] = [a[i]!, b[i]!];
    if (x.data !== y.data || x.start !== y.start) break;
    shared += Math.min(x.count, y.count);
    if (x.count !== y.count) break;
  }
  return shared;
}
