import { describe, expect, test } from "vitest";
import { rotary1d, rotary2d } from "../nn/rotary.ts";
import { type Grid, mergePatches, packImages } from "./packing.ts";

/** Frames, rows and columns of each image. */
const gridsOf = (...images: [number, number, number][]): Grid[] =>
  images.map(([frames, rows, columns]) => ({ frames, rows, columns }));

describe("packImages", () => {
  test("joins 2 x 2 neighbours in reading order, image after image", () => {
    const merge = mergePatches(gridsOf([1, 2, 4], [1, 4, 2]));
    expect([...merge]).toEqual([0, 1, 4, 5, 2, 3, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15]);
  });

  test("gives all frames of an image the same rows and columns but merges each frame by itself", () => {
    const packing = packImages(gridsOf([2, 2, 2]), 5);
    expect([...packing.rows]).toEqual([0, 0, 1, 1, 0, 0, 1, 1]);
    expect([...packing.columns]).toEqual([0, 1, 0, 1, 0, 1, 0, 1]);
    expect([...mergePatches(gridsOf([2, 2, 2]))]).toEqual([0, 1, 2, 3, 4, 5, 6, 7]);
  });

  test("leaves the position table as it is on a grid of the table's own size", () => {
    const { corners, weights } = packImages(gridsOf([1, 4, 4]), 4);
    for (let patch = 0; patch < 16; patch++) {
      expect(corners[4 * patch]).toBe(patch);
      expect([...weights.slice(4 * patch, 4 * patch + 4)]).toEqual([1, 0, 0, 0]);
    }
  });

  test("interpolates between half-pixel centres without leaving the table", () => {
    const { corners, weights } = packImages(gridsOf([1, 2, 8]), 4);
    // Column 1 of 8 stands at (1.5 * 4 / 8) - 0.5 = 0.25; row 0 of 2 at 0.5.
    expect([...corners.slice(4, 8)]).toEqual([0, 1, 4, 5]);
    expect([...weights.slice(4, 8)]).toEqual([0.375, 0.125, 0.375, 0.125]);
    expect(Math.max(...corners)).toBe(15);
  });

  test("keeps raster order on grids with odd sides, which have no merged positions", () => {
    const { rows, columns, corners, weights } = packImages(gridsOf([1, 1, 3], [1, 3, 1]), 3);
    expect([...rows]).toEqual([0, 0, 0, 0, 1, 2]);
    expect([...columns]).toEqual([0, 1, 2, 0, 0, 0]);
    // One row stands in the middle of three: the table's own middle row.
    expect([...corners.slice(0, 12)]).toEqual([3, 4, 6, 7, 4, 5, 7, 8, 5, 5, 8, 8]);
    expect([...weights.slice(0, 4)]).toEqual([1, 0, 0, 0]);
    expect(() => mergePatches(gridsOf([1, 3, 4]))).toThrow("even numbers of rows and columns, got 3 x 4");
  });

  test("rejects empty grids and absurd numbers of patches", () => {
    expect(() => packImages(gridsOf([1, 0, 4]), 5)).toThrow("at least one frame, row and column");
    expect(() => packImages(gridsOf([1, 2048, 2048]), 5)).toThrow("more than");
  });
});

describe("rotary tables", () => {
  test("have row angles in the first half and column angles in the second", () => {
    const { cos, sin } = rotary2d([3], [5], 8, 100);
    expect([...cos]).toEqual([3, 0.3, 5, 0.5].map((angle) => Math.fround(Math.cos(angle))));
    expect([...sin]).toEqual([3, 0.3, 5, 0.5].map((angle) => Math.fround(Math.sin(angle))));
  });

  test("fall by equal factors along one axis", () => {
    const { sin } = rotary1d([0, 2], 4, 10_000);
    expect([...sin]).toEqual([0, 0, 2, 0.02].map((angle) => Math.fround(Math.sin(angle))));
  });
});
