// Against values from tables and from R (qt, pt, mcnemar.test by binom.test, page from the exact table).

import { describe, expect, it } from "vitest";
import { tDistribution, tQuantile } from "../../src/eval/student.ts";
import { counterRandom } from "../../src/random/counter.ts";
import { bootstrap, holm, lowerBound, mcNemar, pageTest, tInterval } from "./statistics.ts";

describe("Student's t", () => {
  it("has the quantiles of the table", () => {
    for (const [share, freedom, t] of [
      [0.95, 4, 2.1318],
      [0.975, 4, 2.7764],
      [0.95, 2, 2.92],
      [0.975, 1, 12.7062],
      [0.975, 30, 2.0423],
    ] as const)
      expect(tQuantile(share, freedom)).toBeCloseTo(t, 3);
  });

  it("is symmetric", () => {
    expect(tDistribution(1.3, 7) + tDistribution(-1.3, 7)).toBeCloseTo(1, 12);
    expect(tDistribution(0, 3)).toBeCloseTo(0.5, 12);
  });

  it("bounds the mean of a sample", () => {
    const values = [1, 2, 3, 4, 5];
    const { low, high } = tInterval(values);
    expect(low).toBeCloseTo(1.0368, 3); // 3 - 2.7764 * sqrt(2.5 / 5)
    expect(high).toBeCloseTo(4.9632, 3);
    expect(lowerBound(values)).toBeCloseTo(1.4926, 3);
  });
});

describe("mcNemar", () => {
  it("is twice the binomial tail of the discordant pairs", () => {
    const a = [1, 1, 1, 1, 1, 1, 0, 1, 0];
    const b = [0, 0, 0, 0, 0, 0, 1, 1, 0];
    expect(mcNemar(a, b)).toBeCloseTo((2 * (1 + 7)) / 2 ** 7, 10);
    expect(mcNemar(a, a)).toBe(1);
  });
});

describe("pageTest", () => {
  it("gives the exact chance of a perfect order", () => {
    const row = [0.1, 0.2, 0.3, 0.4];
    expect(pageTest([row])).toBeCloseTo(1 / 24, 10);
    expect(pageTest([row, row, row])).toBeCloseTo(1 / 24 ** 3, 10);
    expect(pageTest([[...row].reverse()])).toBeCloseTo(1, 10);
  });
});

describe("holm", () => {
  it("multiplies from the smallest on and never falls", () => {
    expect(holm([0.01, 0.04, 0.03])).toEqual([0.03, 0.06, 0.06]);
  });
});

describe("bootstrap", () => {
  it("covers a known difference and narrows with the items", () => {
    const random = counterRandom(1, "bootstrap");
    const pairs = (items: number) =>
      Array.from({ length: 5 }, (_, seed) => {
        const draw = random.fork(seed).sequence();
        const a = Array.from({ length: items }, () => (draw.uniform() < 0.9 ? 1 : 0));
        return { a, b: a.map((value) => (draw.uniform() < 0.1 ? 0 : value)) };
      });
    const [few, many] = [bootstrap(pairs(200), random, 2000), bootstrap(pairs(5000), random, 2000)];
    expect(many.low).toBeGreaterThan(0.07);
    expect(many.high).toBeLessThan(0.11);
    expect(many.high - many.low).toBeLessThan(few.high - few.low);
  });
});
