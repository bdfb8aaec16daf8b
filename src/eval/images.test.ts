import { describe, expect, test } from "vitest";
import { counterRandom } from "../random/counter.ts";
import { blankImage } from "../train/data/shapes.ts";
import { inkBox } from "./ink.ts";
import { decodeText } from "./ocr.ts";
import { ssim } from "./ssim.ts";

describe("ssim", () => {
  test("is 1 for equal images and the luminance term for two greys", () => {
    const [a, b] = [blankImage(16, [100, 100, 100]), blankImage(16, [140, 140, 140])];
    expect(ssim(a, a)).toBeCloseTo(1, 12);
    const c1 = (0.01 * 255) ** 2;
    expect(ssim(a, b)).toBeCloseTo((2 * 100 * 140 + c1) / (100 ** 2 + 140 ** 2 + c1), 10);
  });

  test("falls with noise, and with the sign of a pattern", () => {
    const random = counterRandom(1, "noise");
    const pattern = (sign: number, noise: number) => ({
      width: 32,
      height: 32,
      data: Uint8Array.from({ length: 32 * 32 * 3 }, (_, i) => {
        const [x, y] = [Math.floor(i / 3) % 32, Math.floor(i / 96)];
        return Math.max(
          0,
          Math.min(255, 128 + sign * 60 * Math.sin(x / 2) * Math.cos(y / 3) + noise * random.normal(i)),
        );
      }),
    });
    const plain = pattern(1, 0);
    expect(ssim(plain, pattern(1, 10))).toBeLessThan(1);
    expect(ssim(plain, pattern(1, 40))).toBeLessThan(ssim(plain, pattern(1, 10)));
    expect(ssim(plain, pattern(-1, 0))).toBeLessThan(0);
  });

  test("rejects images of different sizes", () => {
    expect(() => ssim(blankImage(16, [0, 0, 0]), blankImage(17, [0, 0, 0]))).toThrow("16 x 16 against");
  });
});

describe("reading text back", () => {
  test("the box holds all that differs from the border", () => {
    const image = blankImage(20, [230, 230, 240]);
    expect(inkBox(image)).toBeUndefined();
    for (const [x, y] of [
      [5, 7],
      [12, 9],
    ] as const)
      image.data.set([10, 10, 10], (y * 20 + x) * 3);
    expect(inkBox(image)).toEqual({ left: 5, top: 7, right: 13, bottom: 10 });
  });

  test("repeats count once unless a blank is between them", () => {
    const characters = ["", "a", "b", " "];
    const scores = (ids: readonly number[]) =>
      Float32Array.from(ids.flatMap((id) => characters.map((_, k) => (k === id ? 1 : 0))));
    const read = (...ids: number[]) => decodeText(scores(ids), ids.length, characters);
    expect(read(0, 1, 1, 0, 1, 2, 2, 0)).toBe("aab");
    expect(read(3, 1, 3, 2)).toBe("a b");
    expect(read(0, 0)).toBe("");
  });
});
