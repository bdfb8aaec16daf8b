// Measures with their 95 % intervals: Wilson's score interval (1927) for shares, Student's t for means, and the jackknife over groups of
// images for anything else (perplexity, codebook use).

import { tQuantile } from "./student.ts";

export interface Measure {
  readonly value: number;
  /** Ends of the 95 % interval. */
  readonly low: number;
  readonly high: number;
  /** Number of items measured. */
  readonly n: number;
  /** Scores without the model's ability, and of the originals, by name. */
  readonly floors: Readonly<Record<string, number>>;
}

export type Floors = Measure["floors"];

const Z = 1.959964;

/** The share of correct items. NaN if there are no items. */
export function shareOf(right: readonly boolean[], floors: Floors = {}): Measure {
  const n = right.length;
  const value = right.filter(Boolean).length / n;
  const middle = (value + (Z * Z) / (2 * n)) / (1 + (Z * Z) / n);
  const half = (Z / (1 + (Z * Z) / n)) * Math.sqrt((value * (1 - value)) / n + (Z * Z) / (4 * n * n));
  return { value, low: Math.max(0, middle - half), high: Math.min(1, middle + half), n, floors };
}

/** The mean of one number per item. */
export function meanOf(values: readonly number[], floors: Floors = {}): Measure {
  const n = values.length;
  const value = values.reduce((sum, x) => sum + x, 0) / n;
  const variance = n > 1 ? values.reduce((sum, x) => sum + (x - value) ** 2, 0) / (n - 1) : 0;
  const half = n > 1 ? studentT(n - 1) * Math.sqrt(variance / n) : Number.POSITIVE_INFINITY;
  return { value, low: value - half, high: value + half, n, floors };
}

/** The mean of one share per item (a line of symbols): like meanOf, with the interval clipped to 0 .. 1. */
export function meanShareOf(values: readonly number[], floors: Floors = {}): Measure {
  const { low, high, ...rest } = meanOf(values, floors);
  return { ...rest, low: Math.max(0, low), high: Math.min(1, high) };
}

const GROUPS = 10;

/** Any statistic of all items together, with a jackknife interval over ten groups of items. */
export function statisticOf<T>(items: readonly T[], compute: (items: readonly T[]) => number, floors: Floors = {}) {
  const value = compute(items);
  const groups = Math.min(GROUPS, items.length);
  const without = Array.from({ length: groups }, (_, g) => compute(items.filter((_, i) => i % groups !== g)));
  const mean = without.reduce((sum, x) => sum + x, 0) / groups;
  const error = Math.sqrt(((groups - 1) / groups) * without.reduce((sum, x) => sum + (x - mean) ** 2, 0));
  const half = groups > 1 ? studentT(groups - 1) * error : Number.POSITIVE_INFINITY;
  return { value, low: value - half, high: value + half, n: items.length, floors };
}

/** The two-sided 95 % quantile of Student's t. */
function studentT(freedom: number): number {
  return tQuantile(0.975, freedom);
}
