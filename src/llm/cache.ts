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

/** What a sequence has read. The array grows at its end only; one that is cut is another array. */
export interface Cached {
  readonly rows: readonly CacheRows[];
  readonly length: number;
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
/** Numbers that a loop copies sooner than a view of them is made. */
const SHORT_COPY = 256;
/** Slots of others that a run may compute in vain, rather than have its own moved together. */
const MOST_BETWEEN = 2;

interface Slot {
  /** It holds the first `pieces` of these, `length` positions. */
  rows: readonly CacheRows[];
  pieces: number;
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
  load(sequences: readonly Cached[]): LoadedCache {
    this.#loads++;
    this.#fit(sequences);
    const { first, n, slots } = this.#place(sequences);
    for (const [i, sequence] of sequences.entries()) this.#copy(sequence, first + slots[i]!);
    return this.#feed(first, n, slots);
  }

  /** Chooses capacity and number of slots; what slots hold stays where it fits. */
  #fit(sequences: readonly Cached[]): void {
    const recent = this.#slots.filter((slot) => this.#isRecent(slot));
    const wanted = cacheCapacity(Math.max(...[...sequences, ...recent].map(({ length }) => length)));
    const isExcessive = this.#capacity > MOST_EXCESS * wanted;
    const capacity = wanted > this.#capacity || isExcessive ? wanted : this.#capacity;
    const count = sequences.length;
    const most = Math.max(count, mostSlots(this.#shape, capacity, this.#maxBytes));
    // Those that others used lately are left to them, so that sequences in turns do not displace each other.
    const others = recent.filter(({ rows }) => !sequences.some((own) => own.rows[0]?.data === rows[0]?.data)).length;
    const slots = Math.min(most, Math.max(this.#slots.length, others + count));
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
      const rows = firstPositions(slot.rows, capacity);
      Object.assign(slot, { rows, pieces: rows.length, length: capacity });
    }
    while (kept.length < count) kept.push({ rows: [], pieces: 0, length: 0, usedAt: Number.NEGATIVE_INFINITY });
    this.#slots = kept;
  }

  #isRecent({ usedAt }: Slot): boolean {
    return usedAt > this.#loads - RECENT_LOADS;
  }

  /** Finds the neighbouring slots that cost the fewest copied rows, of these sequences now and of others soon. */
  #place(sequences: readonly Cached[]): { first: number; n: number; slots: readonly number[] } {
    const homes = this.#homes(sequences);
    const n = sequences.length;
    const lowest = Math.min(...homes.map((home) => home ?? Number.NaN));
    if (Math.max(...homes.map((home) => home ?? Number.NaN)) - lowest === n - 1)
      return { first: lowest, n, slots: homes.map((home) => home! - lowest) }; // as usual: they are together already
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
          cost += sequences[i]!.length + (this.#isRecent(this.#slots[slot]!) ? this.#slots[slot]!.length : 0);
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
  #homes(sequences: readonly Cached[]): (number | undefined)[] {
    const taken = new Set<number>();
    return sequences.map((sequence) => {
      let [home, most] = [undefined as number | undefined, 0];
      for (const [s, slot] of this.#slots.entries()) {
        const held = taken.has(s) ? 0 : shared(slot, sequence).positions;
        const lost = this.#isRecent(slot) ? slot.length - held : 0;
        if (held - lost > most) [home, most] = [s, held - lost];
      }
      if (home !== undefined) taken.add(home);
      return home;
    });
  }

  /** Makes a slot hold what a sequence has read: copies what is missing. */
  #copy({ rows, length }: Cached, s: number): void {
    const { heads, width: E } = this.#shape;
    const slot = this.#slots[s]!;
    const held = shared(slot, { rows, length });
    let at = held.positions - held.partial;
    for (let p = held.pieces; p < rows.length; p++) {
      const { data, T, start, count } = rows[p]!;
      const skipped = p === held.pieces ? held.partial : 0;
      const size = (count - skipped) * E;
      for (const [i, array] of this.#arrays.entries()) {
        for (let h = 0; h < heads; h++) {
          const from = ((i * heads + h) * T + start + skipped) * E;
          const to = ((s * heads + h) * this.#capacity + at + skipped) * E;
          if (size > SHORT_COPY) array.set(data.subarray(from, from + size), to);
          else for (let e = 0; e < size; e++) array[to + e] = data[from + e]!;
        }
      }
      at += count;
    }
    Object.assign(slot, { rows, pieces: rows.length, length, usedAt: this.#loads });
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

/** What a slot holds of the beginning of a sequence: whole pieces, and positions of the one after them. */
function shared(slot: Slot, { rows }: Cached): { positions: number; pieces: number; partial: number } {
  if (slot.rows === rows) return { positions: slot.length, pieces: slot.pieces, partial: 0 };
  let positions = 0;
  for (let p = 0; p < Math.min(slot.pieces, rows.length); p++) {
    const [a, b] = [slot.rows[p]!, rows[p]!];
    if (a.data !== b.data || a.start !== b.start) return { positions, pieces: p, partial: 0 };
    const count = Math.min(a.count, b.count);
    positions += count;
    if (count < b.count) return { positions, pieces: p, partial: count };
    if (count < a.count) return { positions, pieces: p + 1, partial: 0 };
  }
  return { positions, pieces: Math.min(slot.pieces, rows.length), partial: 0 };
}
