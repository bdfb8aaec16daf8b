// The order of examples: each epoch is a shuffle of all, a function of the seed alone, so that a run can resume at any sample without
// replay and without state in memory. If examples are cheap only in groups (Parquet's row groups), groups
// are shuffled, and then the rows of a few consecutive groups.

import { findLast } from "../../corpus/growing-numbers.ts";
import { type CounterRandom, counterRandom } from "../../random/counter.ts";

const ROUNDS = 4;

/** A random-access shuffle of 0 .. n-1: a Feistel network over the next power of four, iterated until the result is below n. */
export class Permutation {
  readonly #n: number;
  readonly #rounds: readonly CounterRandom[];
  readonly #half: number;

  constructor(n: number, random: CounterRandom) {
    this.#n = n;
    this.#rounds = Array.from({ length: ROUNDS }, (_, round) => random.fork(round));
    this.#half = 2 ** Math.ceil(Math.log2(Math.max(n, 2)) / 2);
  }

  at(place: number): number {
    let value = place;
    do {
      let left = Math.floor(value / this.#half);
      let right = value % this.#half;
      for (const round of this.#rounds) [left, right] = [right, (left + round.uint32(right)) % this.#half];
      value = left * this.#half + right;
    } while (value >= this.#n);
    return value;
  }
}

/** Groups whose rows are shuffled together. */
const WINDOW = 4;

export interface Ordered {
  readonly count: number;
  readonly groups?: readonly number[];
}

export class SampleOrder {
  readonly #count: number;
  readonly #groups: readonly number[] | undefined;
  readonly #random: CounterRandom;
  #epoch = -1;
  #at: (place: number) => number = (place) => place;

  constructor({ count, groups }: Ordered, seed: number) {
    this.#count = count;
    this.#groups = groups;
    this.#random = counterRandom(seed, "order of examples");
  }

  /** The example at a position of the whole training; an epoch is `count` positions. */
  at(position: number): number {
    const epoch = Math.floor(position / this.#count);
    if (epoch !== this.#epoch) {
      const random = this.#random.fork(epoch);
      if (this.#groups) this.#at = orderGroups(this.#groups, random);
      else {
        const permutation = new Permutation(this.#count, random);
        this.#at = (place) => permutation.at(place);
      }
      this.#epoch = epoch;
    }
    return this.#at(position % this.#count);
  }
}

function orderGroups(sizes: readonly number[], random: CounterRandom): (place: number) => number {
  const starts = startsOf(sizes);
  const shuffle = new Permutation(sizes.length, random.fork("groups"));
  const order = sizes.map((_, i) => shuffle.at(i));
  const windows = Array.from({ length: Math.ceil(order.length / WINDOW) }, (_, w) => {
    const groups = order.slice(w * WINDOW, (w + 1) * WINDOW);
    const size = groups.reduce((sum, group) => sum + sizes[group]!, 0);
    const rows = new Permutation(size, random.fork("rows").fork(w));
    return { groups, size, rows, starts: startsOf(groups.map((group) => sizes[group]!)) };
  });
  const windowStarts = startsOf(windows.map(({ size }) => size));
  return (place) => {
    const w = findLast(windowStarts, place);
    const window = windows[w]!;
    const row = window.rows.at(place - windowStarts[w]!);
    const g = findLast(window.starts, row);
    return starts[window.groups[g]!]! + row - window.starts[g]!;
  };
}

function startsOf(sizes: readonly number[]): Float64Array {
  const starts = new Float64Array(sizes.length);
  for (let i = 1; i < sizes.length; i++) starts[i] = starts[i - 1]! + sizes[i - 1]!;
  return starts;
}
