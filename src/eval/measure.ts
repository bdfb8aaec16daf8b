// Measures with their 95 % intervals: Wilson's score interval (1927) for shares, Student's t for means, and the jackknife over groups of
// images for anything else (perplexity, codebook use).

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
export function studentT(freedom: number): number {
  const few = [12.7062, 4.3027, 3.1824, 2.7764];
  if (freedom <= few.length) return few[freedom - 1]!;
  // Expansion in 1/freedom (Abramowitz and Stegun 26.7.5), good to four digits from 5 on.
  const v = freedom;
  const z = Z;
  return (
    z +
    (z ** 3 + z) / (4 * v) +
    (5 * z ** 5 + 16 * z ** 3 + 3 * z) / (96 * v ** 2) +
    (3 * z ** 7 + 19 * z ** 5 + 17 * z ** 3 - 15 * z) / (384 * v ** 3) +
    (79 * z ** 9 + 776 * z ** 7 + 1482 * z ** 5 - 1920 * z ** 3 - 945 * z) / (92160 * v ** 4)
  );
}
