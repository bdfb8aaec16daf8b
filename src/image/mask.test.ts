import { describe, expect, test } from "vitest";
import { InputError } from "../errors.ts";
import { checkMask, readMaskImage, readMaskList } from "./mask.ts";

const wanted = [true, false, false, false, false, true];

describe("a mask as a list", () => {
  test.each([
    ["of booleans", wanted],
    ["of numbers", [1, 0, 0, 0, 0, 1]],
    [
      "of rows",
      [
        [true, false, false],
        [0, 0, 1],
      ],
    ],
    ["of bytes", Uint8Array.of(1, 0, 0, 0, 0, 1)],
  ])("%s has a value for each position", (_, mask) => {
    expect(readMaskList(mask, [2, 3])).toEqual(wanted);
  });

  test.each([
    ["too short", [1, 0], /have 2 x 3 values, one for each position, got 2/],
    ["of other values", [1, 0, 0, 0, 0, 2], /true or false, got 2/],
  ])("%s is rejected", (_, mask, message) => {
    expect(() => readMaskList(mask, [2, 3])).toThrow(InputError);
    expect(() => readMaskList(mask, [2, 3])).toThrow(message);
  });

  test.each([
    ["a path", "mask.png"],
    ["a file's bytes", Uint8Array.of(137, 80, 78, 71, 13, 10)],
    ["pixels", { width: 1, height: 1, data: [0, 0, 0] }],
  ])("is not %s", (_, mask) => {
    expect(readMaskList(mask, [2, 3])).toBeUndefined();
  });
});

describe("a mask as an image", () => {
  const painted = (width: number, height: number, isWhite: (x: number, y: number) => boolean) => ({
    width,
    height,
    data: Uint8Array.from({ length: width * height * 3 }, (_, i) => {
      const pixel = Math.floor(i / 3);
      return isWhite(pixel % width, Math.floor(pixel / width)) ? 255 : 0;
    }),
  });

  test.each([
    [30, 20],
    [301, 199],
    [3, 2],
  ])("of %i x %i selects the positions that it covers for the most part", (width, height) => {
    const isWhite = (x: number, y: number) =>
      (x < width / 3 && y < height / 2) || (x >= (2 * width) / 3 && y >= height / 2);
    expect(readMaskImage(painted(width, height, isWhite), [2, 3])).toEqual(wanted);
  });

  test("smaller than the grid covers several positions with a pixel", () => {
    expect(
      readMaskImage(
        painted(1, 2, (_, y) => y === 1),
        [2, 2],
      ),
    ).toEqual([false, false, true, true]);
  });
});

test("a mask that selects nothing is rejected", () => {
  expect(() => checkMask([false, false])).toThrow(/selects no position/);
  checkMask(wanted);
});
