import { describe, expect, test } from "vitest";
import { counterRandom } from "../random/counter.ts";
import { kMeans } from "./kmeans.ts";

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
  test("finds the centres of separate clouds, in any order", async () => {
    const centres = await kMeans(samples, 2, { clusters: 3, random });
    const found = corners.map((corner) => [0, 1, 2].filter((k) => Math.hypot(...distance(centres, k, corner)) < 0.3));
    expect(found.map((near) => near.length)).toEqual([1, 1, 1]);
  });

  test("gives the same centres for the same numbers", async () => {
    const once = await kMeans(samples, 2, { clusters: 5, random });
    expect(await kMeans(samples, 2, { clusters: 5, random })).toEqual(once);
  });

  test("survives more centres than different samples", async () => {
    const centres = await kMeans(new Float32Array([1, 1, 2, 2]), 2, { clusters: 4, random });
    expect(centres.every((value) => value === 1 || value === 2)).toBe(true);
  });
});
