import { expect, test } from "vitest";
import { mentions } from "./drawings.ts";

test("a drawing is known by its whole words, in any order, so that held-out concepts are found", () => {
  expect(mentions("apple-red-bitten", "red apple")).toBe(true);
  expect(mentions("pineapple-red", "red apple")).toBe(false);
  expect(mentions("zipper", "zipper face")).toBe(true);
  expect(mentions("apple", "red apple")).toBe(false);
});
