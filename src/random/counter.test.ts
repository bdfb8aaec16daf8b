import { describe, expect, test } from "vitest";
import { counterRandom } from "./counter.ts";

const N = 40_000;
const indices = Array.from({ length: N }, (_, i) => i);
const mean = (values: readonly number[]) => values.reduce((a, b) => a + b, 0) / values.length;

describe("counterRandom", () => {
  test("gives the same value for an index in whatever order it is asked", () => {
    const forwards = counterRandom(7, "order");
    const ahead = indices.slice(0, 200).map((i) => forwards.normal(i));
    const backwards = counterRandom(7, "order");
    backwards.uint32(999);
    const behind = indices
      .slice(0, 200)
      .reverse()
      .map((i) => backwards.normal(i))
      .reverse();
    expect(behind).toEqual(ahead);
  });

  test("is uniform: mean, variance and ten equal bins", () => {
    const random = counterRandom(1, "uniform");
    const values = indices.map((i) => random.uniform(i));
    expect(Math.abs(mean(values) - 1 / 2)).toBeLessThan(5 * Math.sqrt(1 / 12 / N));
    expect(Math.abs(mean(values.map((v) => (v - 0.5) ** 2)) - 1 / 12)).toBeLessThan(0.002);
    const bins = new Array<number>(10).fill(0);
    for (const value of values) bins[Math.floor(value * 10)]!++;
    const chiSquare = bins.reduce((sum, count) => sum + (count - N / 10) ** 2 / (N / 10), 0);
    expect(chiSquare).toBeLessThan(27.9); // 9 degrees of freedom, 1 in 1000
  });

  test("is standard normal in its first four moments", () => {
    const values = counterRandom(2, "normal").fillNormal(new Float32Array(N));
    const moment = (power: number) => mean(Array.from(values, (v) => v ** power));
    expect(Math.abs(moment(1))).toBeLessThan(5 / Math.sqrt(N));
    expect(Math.abs(moment(2) - 1)).toBeLessThan(5 * Math.sqrt(2 / N));
    expect(Math.abs(moment(3))).toBeLessThan(5 * Math.sqrt(15 / N));
    expect(Math.abs(moment(4) - 3)).toBeLessThan(5 * Math.sqrt(96 / N));
  });

  test("keeps seeds, streams, forks and neighbouring indices uncorrelated", () => {
    const base = counterRandom(3, "a");
    const others = [
      counterRandom(4, "a"),
      counterRandom(3, "b"),
      base.fork(0),
      base.fork(1),
      counterRandom(3 + 2 ** 40, "a"),
    ];
    for (const other of others) {
      const correlation = mean(indices.map((i) => base.normal(i) * other.normal(i)));
      expect(Math.abs(correlation)).toBeLessThan(5 / Math.sqrt(N));
    }
    expect(Math.abs(mean(indices.map((i) => base.normal(i) * base.normal(i + 1))))).toBeLessThan(5 / Math.sqrt(N));
  });

  test("uses indices beyond 32 bits", () => {
    const random = counterRandom(5);
    expect(random.uint32(2 ** 32 + 1)).not.toBe(random.uint32(1));
  });

  test("draws whole numbers from the whole range", () => {
    const random = counterRandom(6);
    expect(new Set(indices.slice(0, 300).map((i) => random.integer(i, 7)))).toEqual(new Set([0, 1, 2, 3, 4, 5, 6]));
  });

  test("walks its indices as a sequence, and fills from a start", () => {
    const random = counterRandom(8);
    const walk = random.sequence();
    expect([walk.uniform(), walk.normal(), walk.integer(9)]).toEqual([
      random.uniform(0),
      random.normal(1),
      random.integer(2, 9),
    ]);
    expect(["x", "y"]).toContain(walk.pick(["x", "y"]));
    expect([...random.fillNormal(new Float32Array(2), 5)]).toEqual([
      Math.fround(random.normal(5)),
      Math.fround(random.normal(6)),
    ]);
  });

  test("rejects seeds that are not whole numbers below 2^53", () => {
    for (const seed of [-1, 0.5, 2 ** 53, Number.NaN]) expect(() => counterRandom(seed)).toThrow("2^53");
  });
});
