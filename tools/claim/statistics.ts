// The statistics of the claim: intervals and tests over paired seeds, and over the items within them.

import { logGamma, tDistribution, tQuantile } from "../../src/eval/student.ts";
import type { CounterRandom } from "../../src/random/counter.ts";

export interface Interval {
  readonly mean: number;
  readonly low: number;
  readonly high: number;
}

export function mean(values: ArrayLike<number>): number {
  let sum = 0;
  for (let i = 0; i < values.length; i++) sum += values[i]!;
  return sum / values.length;
}

function standardError(values: readonly number[]): number {
  const centre = mean(values);
  const squares = values.reduce((sum, value) => sum + (value - centre) ** 2, 0);
  return Math.sqrt(squares / (values.length - 1) / values.length);
}

/** Student's t interval of the mean, two-sided. A single value has none: the ends are NaN. */
export function tInterval(values: readonly number[], confidence = 0.95): Interval {
  const centre = mean(values);
  if (values.length < 2) return { mean: centre, low: Number.NaN, high: Number.NaN };
  const half = tQuantile(1 - (1 - confidence) / 2, values.length - 1) * standardError(values);
  return { mean: centre, low: centre - half, high: centre + half };
}

/** The one-sided lower bound of the mean. */
export function lowerBound(values: readonly number[], confidence = 0.95): number {
  if (values.length < 2) return Number.NaN;
  return mean(values) - tQuantile(confidence, values.length - 1) * standardError(values);
}

/** p of a mean at least as large if the true one were 0; one-sided. */
export function tTest(values: readonly number[]): number {
  if (values.length < 2) return Number.NaN;
  const error = standardError(values);
  if (error === 0) return mean(values) > 0 ? 0 : 1;
  return 1 - tDistribution(mean(values) / error, values.length - 1);
}

/** McNemar's exact test, two-sided: items that only one of two arms got right are fair coin flips. */
export function mcNemar(a: ArrayLike<number>, b: ArrayLike<number>): number {
  let [onlyA, onlyB] = [0, 0];
  for (let i = 0; i < a.length; i++) {
    if (a[i]! > b[i]!) onlyA++;
    else if (b[i]! > a[i]!) onlyB++;
  }
  const n = onlyA + onlyB;
  let tail = 0;
  for (let k = 0; k <= Math.min(onlyA, onlyB); k++) {
    tail += Math.exp(logGamma(n + 1) - logGamma(k + 1) - logGamma(n - k + 1) - n * Math.LN2);
  }
  return Math.min(1, 2 * tail);
}

/** Draws seeds, then items within them, both with replacement; the interval of the mean difference a - b. */
export function bootstrap(
  pairs: readonly { readonly a: ArrayLike<number>; readonly b: ArrayLike<number> }[],
  random: CounterRandom,
  draws = 10_000,
): Interval {
  // An item's difference is one of few values, so resampling all items amounts to a few binomial counts: sums use their
  // normal approximation, whose error at hundreds of items is far below the spread.
  const seeds = pairs.map(({ a, b }) => {
    const differences = Array.from({ length: a.length }, (_, i) => a[i]! - b[i]!);
    return { mean: mean(differences), error: standardError(differences) };
  });
  const draw = random.sequence();
  const means = Array.from({ length: draws }, () => {
    let sum = 0;
    for (let i = 0; i < seeds.length; i++) {
      const { mean: centre, error } = draw.pick(seeds);
      sum += centre + error * draw.normal();
    }
    return sum / seeds.length;
  }).sort((x, y) => x - y);
  return {
    mean: mean(seeds.map((seed) => seed.mean)),
    low: means[Math.floor(0.025 * draws)]!,
    high: means[Math.ceil(0.975 * draws) - 1]!,
  };
}

/**
 * Page's test for a predicted order (1963): rows are seeds, columns treatments from least to most; the exact p of a
 * statistic at least as large when each row's order is random. Ties take mean ranks.
 */
export function pageTest(rows: readonly (readonly number[])[]): number {
  const columns = rows[0]!.length;
  const statistic = rows.reduce(
    (sum, row) => sum + ranks(row).reduce((own, rank, column) => own + rank * (column + 1), 0),
    0,
  );
  let chances = new Map<number, number>([[0, 1]]);
  const orders = permutations(columns).map((order) => order.reduce((sum, rank, i) => sum + (rank + 1) * (i + 1), 0));
  for (const _ of rows) {
    const next = new Map<number, number>();
    for (const [sum, chance] of chances) {
      for (const own of orders) next.set(sum + own, (next.get(sum + own) ?? 0) + chance / orders.length);
    }
    chances = next;
  }
  return [...chances].reduce((total, [sum, chance]) => total + (sum >= statistic - 1e-9 ? chance : 0), 0);
}

function ranks(row: readonly number[]): number[] {
  return row.map(
    (value) => row.filter((other) => other < value).length + (row.filter((other) => other === value).length + 1) / 2,
  );
}

function permutations(n: number): number[][] {
  if (n === 0) return [[]];
  return permutations(n - 1).flatMap((rest) =>
    Array.from({ length: n }, (_, at) => [...rest.slice(0, at), n - 1, ...rest.slice(at)]),
  );
}

/** Holm's correction: the adjusted p values, in the order given. */
export function holm(chances: readonly number[]): number[] {
  const order = chances.map((_, i) => i).sort((a, b) => chances[a]! - chances[b]!);
  const adjusted = new Array<number>(chances.length);
  let largest = 0;
  order.forEach((i, rank) => {
    largest = Math.max(largest, Math.min(1, chances[i]! * (chances.length - rank)));
    adjusted[i] = largest;
  });
  return adjusted;
}
