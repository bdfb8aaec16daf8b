import { expect, test } from "vitest";
import { lookUp } from "./prompt-lookup.ts";

const any = () => true;

test("goes on as the row did after the latest occurrence of its longest ending", () => {
  expect(lookUp([1, 2, 3, 4, 9, 2, 3, 5, 8, 2, 3], 2, any)).toEqual([5, 8]);
  expect(lookUp([1, 2, 3, 4, 9, 2, 3, 5, 1, 2, 3], 3, any)).toEqual([4, 9, 2]);
});

test("guesses nothing without a repetition of two ids, or when nothing is asked for", () => {
  expect(lookUp([1, 2, 3, 4, 3], 4, any)).toEqual([]);
  expect(lookUp([1, 2, 1, 2], 0, any)).toEqual([]);
  expect(lookUp([], 4, any)).toEqual([]);
  expect(lookUp([7], 4, any)).toEqual([]);
});

test("repeats a repetition beyond the row's end", () => {
  expect(lookUp([5, 5, 5], 4, any)).toEqual([5, 5, 5, 5]);
  expect(lookUp([1, 2, 1, 2], 5, any)).toEqual([1, 2, 1, 2, 1]);
});

test("ends before what may not be written", () => {
  expect(lookUp([1, 2, 3, 90, 4, 1, 2], 4, (id) => id < 50)).toEqual([3]);
});
