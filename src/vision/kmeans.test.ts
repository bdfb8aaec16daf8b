import { describe, expect, test } from "vitest";
import { counterRandom } from "../random/counter.ts";
import { bookRows, kMeans } from "./kmeans.ts";

const random = counterRandom(7);

/** 60 points around three corners. */
const corners = [
  [0, 0],
  [10, 0],
  [0, 10],
] as const;
const samples = Float32Array.from(
  { length: 120 },
  (_, i) => corners[Math.floor(i / 2) % 3]![i % 2]! + random.fork("noise").uniform(i) - 0.5,
);

const distance = (centres: Float32Array, k: number, corner: readonly [number, number]) => [
  centres[2 * k]! - corner[0],
  centres[2 * k + 1]! - corner[1],
];

describe("kMeans", () => {
  test("finds the centres of separate clouds, in any order", () => {
    const centres = kMeans(samples, 2, { clusters: 3, random });
    const found = corners.map((corner) => [0, 1, 2].filter((k) => Math.hypot(...distance(centres, k, corner)) < 0.3));
    expect(found.map((near) => near.length)).toEqual([1, 1, 1]);
  });

  test("gives the same centres for the same numbers", () => {
    const once = kMeans(samples, 2, { clusters: 5, random });
    expect(kMeans(samples, 2, { clusters: 5, random })).toEqual(once);
  });

  test("survives more centres than different samples", () => {
    const centres = kMeans(new Float32Array([1, 1, 2, 2]), 2, { clusters: 4, random });
    expect(centres.every((value) => value === 1 || value === 2)).toBe(true);
  });
});

describe("bookRows", () => {
  test("gives rows that the book's linear layer brings to the centres", () => {
    const projection = Float32Array.from({ length: 10 }, (_, i) => random.normal(i)); // [2, 5]
    const bias = new Float32Array([0.5, -1]);
    const rows = bookRows(samples, projection, bias, { size: 3, random });
    const centres = kMeans(samples, 2, { clusters: 3, random });
    for (let row = 0; row < 3; row++) {
      for (let i = 0; i < 2; i++) {
        let sum = bias[i]!;
        for (let j = 0; j < 5; j++) sum += projection[i * 5 + j]! * rows[row * 5 + j]!;
        expect(sum).toBeCloseTo(centres[row * 2 + i]!, 4);
      }
    }
  });

  test("refuses a table narrower than the codes", () => {
    expect(() => bookRows(samples, new Float32Array(2), new Float32Array(2), { size: 3, random })).toThrow(
      "at least as wide",
    );
  });
});
