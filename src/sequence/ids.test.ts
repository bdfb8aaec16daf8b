import { describe, expect, test } from "vitest";
import { codesFromIds, idsFromCodes } from "./ids.ts";

const layout = { vocabSize: 80, codebookSize: 128, codesPerPatch: 4 };

describe("ids of codes", () => {
  test("give each book its own stretch after the text", () => {
    expect([...idsFromCodes([2, 24, 12, 8, 20, 20, 6, 20], layout)]).toEqual([82, 136, 156, 184, 100, 132, 150, 196]);
  });

  test("lead back to the codes", () => {
    const codes = Int32Array.from({ length: 128 }, (_, i) => Math.floor(i / 4));
    expect(codesFromIds(idsFromCodes(codes, layout), layout)).toEqual(codes);
  });

  test("clamp into the book they stand for when they are not to be trusted", () => {
    expect([...codesFromIds([0, 80, 100_000, 176], layout)]).toEqual([0, 0, 31, 0]);
  });

  test("refuse codes that no book has", () => {
    expect(() => idsFromCodes([0, 32, 0, 0], layout)).toThrow("book 1 of 4");
    expect(() => idsFromCodes([0, 1, 2], layout)).toThrow("multiple of 4");
  });
});
