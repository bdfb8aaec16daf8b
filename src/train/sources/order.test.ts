import fc from "fast-check";
import { expect, test } from "vitest";
import { counterRandom } from "../../random/counter.ts";
import { Permutation, SampleOrder } from "./order.ts";

const numbers = (n: number) => Array.from({ length: n }, (_, i) => i);

test("visits each example once an epoch, whatever their number", () => {
  fc.assert(
    fc.property(fc.integer({ min: 1, max: 300 }), fc.nat(), (count, seed) => {
      const order = new SampleOrder({ count }, seed);
      for (const epoch of [0, 1]) {
        expect(
          numbers(count)
            .map((i) => order.at(epoch * count + i))
            .sort((a, b) => a - b),
        ).toEqual(numbers(count));
      }
    }),
  );
});

test("is a function of seed and position, and another one in the next epoch", () => {
  const order = new SampleOrder({ count: 100 }, 3);
  const first = numbers(200).map((i) => order.at(i));
  const again = new SampleOrder({ count: 100 }, 3);
  for (const i of [150, 7, 99, 100, 0]) expect(again.at(i)).toBe(first[i]);
  expect(first.slice(0, 100)).not.toEqual(first.slice(100));
  expect(numbers(100).map((i) => new SampleOrder({ count: 100 }, 4).at(i))).not.toEqual(first.slice(0, 100));
});

test("leaves no pattern between place and example", () => {
  const n = 1000;
  const permutation = new Permutation(n, counterRandom(5));
  const values = numbers(n).map((i) => permutation.at(i));
  const correlation = (x: number[], y: number[]) => {
    const [mx, my] = [x, y].map((v) => v.reduce((a, b) => a + b, 0) / v.length) as [number, number];
    const sum = (f: (i: number) => number) => x.reduce((total, _, i) => total + f(i), 0);
    return (
      sum((i) => (x[i]! - mx) * (y[i]! - my)) / Math.sqrt(sum((i) => (x[i]! - mx) ** 2) * sum((i) => (y[i]! - my) ** 2))
    );
  };
  // Of 1000 independent pairs it is within 0.13 but for one time in 20,000.
  expect(Math.abs(correlation(numbers(n), values))).toBeLessThan(0.13);
  expect(Math.abs(correlation(values.slice(1), values.slice(0, -1)))).toBeLessThan(0.13);
});

test("draws the rows of a few groups at a time, each row once an epoch", () => {
  const groups = [5, 0, 7, 1, 9, 3, 6, 2, 8, 4];
  const count = groups.reduce((a, b) => a + b);
  const owner = groups.flatMap((size, g) => new Array<number>(size).fill(g));
  const order = new SampleOrder({ count, groups }, 2);
  const drawn = numbers(count).map((i) => order.at(i));
  expect([...drawn].sort((a, b) => a - b)).toEqual(numbers(count));
  const visited = drawn.map((index) => owner[index]!);
  // Once a window of four is over, none of its groups comes back.
  const last = new Map(visited.map((group, i) => [group, i]));
  for (let i = 0; i < count; i++) {
    const open = new Set(visited.filter((group, k) => k <= i && last.get(group)! >= i));
    expect(open.size).toBeLessThanOrEqual(4);
  }
  expect(new Set(visited.slice(0, 5)).size).toBeGreaterThan(1);
});
