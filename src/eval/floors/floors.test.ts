import { describe, expect, test } from "vitest";
import type { RgbImage } from "../../image/rgb.ts";
import { counterRandom } from "../../random/counter.ts";
import { pixelError } from "../../train/metrics.ts";
import { Neighbours } from "./neighbours.ts";
import { fitResidualCodes, throughResidualCodes } from "./residual-codes.ts";
import { THUMBNAIL_SIDE, thumbnail } from "./thumbnails.ts";

const noise = (seed: number, side = 16): RgbImage => {
  const random = counterRandom(seed, "noise");
  return {
    width: side,
    height: side,
    data: Uint8Array.from({ length: side * side * 3 }, (_, i) => random.integer(i, 256)),
  };
};

describe("nearest neighbours", () => {
  test("ranks labels by cosine around the mean, each once", async () => {
    const rows = Float32Array.of(1, 0, 0.9, 0.1, 0, 1, -1, 0);
    const neighbours = await Neighbours.open(rows, ["a", "a", "b", "c"]);
    const [first, second] = await neighbours.rank(Float32Array.of(0.95, 0.02, 0.1, 2));
    await neighbours.release();
    expect(first!.labels).toEqual(["a", "b", "c"]);
    expect(first!.nearest).toBe(0);
    expect(second).toMatchObject({ nearest: 2 });
    expect(second!.labels[0]).toBe("b");
  });

  test("a channel of large numbers does not drown the others where channels have equal weight", async () => {
    // Two channels of two numbers: the first large and meaningless, the second small and telling.
    const rows = Float32Array.of(900, -800, 1, 1, -700, 950, 1, 1.1, 850, -900, -1, -1, -950, 800, -1, -1.1);
    const query = Float32Array.of(-1000, 300, 1, 1);
    const open = (channel: number) => Neighbours.open(rows, ["up", "up", "down", "down"], channel);
    const [plain, even] = [await open(0), await open(2)];
    expect((await even.rank(query))[0]!.labels[0]).toBe("up");
    const cosines = [(await plain.rank(query))[0]!.cosine, (await even.rank(query))[0]!.cosine];
    expect(cosines[0]).not.toBeCloseTo(cosines[1]!, 2);
    await plain.release();
    await even.release();
  });
});

describe("thumbnails", () => {
  test("are means of squares, white as zero", () => {
    const side = 2 * THUMBNAIL_SIDE;
    const data = new Uint8Array(side * side * 3).fill(255);
    data.set([0, 0, 0], 0); // one of the four pixels of the first square
    const small = thumbnail({ width: side, height: side, data });
    expect(small[0]).toBeCloseTo(-0.25);
    expect(small[3]).toBeCloseTo(0);
    expect(() => thumbnail(noise(1))).toThrow("cannot be divided into a thumbnail");
  });
});

describe("residual codes", () => {
  test("draw images again exactly where patches repeat, and better with each book", async () => {
    const patches = [noise(1, 4), noise(2, 4), noise(3, 4), noise(4, 4)];
    const tiled = (order: readonly number[]): RgbImage => {
      const data = new Uint8Array(8 * 8 * 3);
      order.forEach((which, at) => {
        for (let y = 0; y < 4; y++) {
          const row = patches[which]!.data.subarray(y * 12, y * 12 + 12);
          data.set(row, ((Math.floor(at / 2) * 4 + y) * 8 + (at % 2) * 4) * 3);
        }
      });
      return { width: 8, height: 8, data };
    };
    const images = [tiled([0, 1, 2, 3]), tiled([3, 2, 1, 0]), tiled([1, 1, 0, 2])];
    const psnr = async (books: number, size: number) => {
      const codes = await fitResidualCodes(images, { patch: 4, books, size });
      return pixelError(images, await Promise.all(images.map((image) => throughResidualCodes(image, codes)))).psnr;
    };
    expect(await psnr(1, 4)).toBeGreaterThan(50);
    const [one, three] = [await psnr(1, 2), await psnr(3, 2)];
    expect(one).toBeLessThan(30);
    expect(three).toBeGreaterThan(one + 3);
  });
});
