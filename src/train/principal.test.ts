import { describe, expect, test } from "vitest";
import { counterRandom } from "../random/counter.ts";
import { balanceGroups, eigenSymmetric, predictiveComponents } from "./principal.ts";

const random = counterRandom(5, "principal");
const normal = (name: string, n: number) => Float64Array.from({ length: n }, (_, i) => random.fork(name).normal(i));

/** a aᵀ of a [n, n]. */
function square(a: Float64Array, n: number): Float64Array {
  return Float64Array.from({ length: n * n }, (_, at) => {
    const [i, j] = [Math.floor(at / n), at % n];
    let sum = 0;
    for (let k = 0; k < n; k++) sum += a[i * n + k]! * a[j * n + k]!;
    return sum;
  });
}

test("eigenSymmetric puts a matrix together again from its values and vectors, the largest first", () => {
  const n = 12;
  const matrix = square(normal("a", n * n), n);
  const { values, vectors } = eigenSymmetric(matrix, n);
  expect([...values]).toEqual([...values].sort((a, b) => b - a));
  for (let i = 0; i < n; i++) {
    for (let j = 0; j < n; j++) {
      let sum = 0;
      for (let k = 0; k < n; k++) sum += values[k]! * vectors[k * n + i]! * vectors[k * n + j]!;
      expect(sum).toBeCloseTo(matrix[i * n + j]!, 6);
    }
  }
});

describe("predictiveComponents", () => {
  test("finds what counts for the predictions, however much else the features vary", () => {
    // Feature 0 varies most and tells nothing; feature 1 tells most, feature 2 a little.
    const covariance = Float64Array.of(100, 0, 0, 0, 1, 0, 0, 0, 4);
    const weights = Float64Array.of(0, 0, 3, 0, 0, 0.5);
    const { rows, variances } = predictiveComponents(covariance, weights, 3, 2, 2);
    expect([...variances].map((value) => Math.round(100 * value) / 100)).toEqual([9, 1]);
    expect([...rows].map((value) => Math.round(100 * Math.abs(value)) / 100)).toEqual([0, 3, 0, 0, 0, 0.5]);
  });

  test("components do not go together, and vary as they say", () => {
    const [n, outputs, count] = [8, 5, 4];
    const covariance = square(normal("c", n * n), n);
    const { rows, variances } = predictiveComponents(covariance, normal("w", n * outputs), n, outputs, count);
    for (let a = 0; a < count; a++) {
      for (let b = 0; b < count; b++) {
        let sum = 0;
        for (let i = 0; i < n; i++) {
          for (let j = 0; j < n; j++) sum += rows[a * n + i]! * covariance[i * n + j]! * rows[b * n + j]!;
        }
        expect(sum / variances[0]!).toBeCloseTo(a === b ? variances[a]! / variances[0]! : 0, 6);
      }
    }
  });
});

test("balanceGroups gives groups of one size, whose products of variances are closer than those of neighbours in order", () => {
  const variances = Float64Array.from({ length: 12 }, (_, i) => 0.5 ** i);
  const groups = balanceGroups(variances, 3);
  expect(groups.map((members) => members.length)).toEqual([4, 4, 4]);
  expect(groups.flat().sort((a, b) => a - b)).toEqual(Array.from({ length: 12 }, (_, i) => i));
  const logs = groups.map((members) => members.reduce((sum, k) => sum + Math.log(variances[k]!), 0));
  expect(Math.max(...logs) - Math.min(...logs)).toBeLessThan(3 * Math.log(2));
  expect(() => balanceGroups(variances, 5)).toThrow("do not divide");
});
