import { expect, test } from "vitest";
import { codesAt, differences, hasSameGrid, withCode, withPositionsOf } from "./code-edits.ts";

const grid = [1, 3] as const;
const a = { grid, codes: [1, 2, 3, 4, 5, 6] }; // two codes for each of three positions
const b = { grid, codes: [1, 9, 8, 7, 5, 6] };

test("one code is changed, and nothing else", () => {
  const changed = withCode(a, 1, 0, 77);
  expect(changed.codes).toEqual([1, 2, 77, 4, 5, 6]);
  expect(codesAt(changed, 1)).toEqual([77, 4]);
  expect(a.codes[2]).toBe(3);
});

test("differences are counted at each position", () => {
  expect(differences(a, b)).toEqual([1, 2, 0]);
});

test("swapping positions twice gives back both images", () => {
  const [c, d] = [withPositionsOf(a, b, [1]), withPositionsOf(b, a, [1])];
  expect(c.codes).toEqual([1, 2, 8, 7, 5, 6]);
  expect(withPositionsOf(c, d, [1])).toEqual(a);
  expect(withPositionsOf(d, c, [1])).toEqual(b);
});

test("images of other shapes are told apart", () => {
  expect(hasSameGrid(a, b)).toBe(true);
  expect(hasSameGrid(a, { grid: [3, 1], codes: b.codes })).toBe(false);
});
