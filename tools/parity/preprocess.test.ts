import { join } from "node:path";
import { describe, expect, test } from "vitest";
import { InputError } from "../../src/errors.ts";
import { loadImage } from "../../src/image/image-source.node.ts";
import { cutPatches } from "../../src/image/patches.ts";
import { type ImageFit, preparedSizes, prepareImage } from "../../src/image/processor.ts";
import { resize } from "../../src/image/resize.ts";
import { roundHalfEven } from "../../src/image/rounding.ts";
import { smartResizeFetch } from "../../src/image/smart-resize.ts";
import { readSafetensors } from "../../src/quantize/safetensors-file.ts";
import { findBucket } from "./buckets.ts";
import { crop, resizeAndCenterCrop } from "./crop.ts";
import { fetchResize, processImage, smartResizeProcessor } from "./reference-resize.ts";

const golden = join(import.meta.dirname, "../../test/golden/preprocess");
const outputs = await readSafetensors(join(golden, "outputs.safetensors"));
const release = { patchSize: 14, mergeSize: 2 };
const limits = { a: [3136, 1003520], b: [3136, 9408], c: [3136, 1003520] } as const;

describe.each(["a", "b", "c"] as const)("image %s of the reference", (key) => {
  const golds = (name: string) => outputs.get(`${key}.${name}`)!;
  const source = loadImage(join(golden, `image_${key}.png`));

  test("decodes to the same bytes", async () => {
    expect((await source).data).toEqual(golds("source_rgb").data);
  });

  test("is resized by bicubic to the same bytes", async () => {
    const [minPixels, maxPixels] = limits[key];
    const resized = fetchResize(await source, { minPixels, maxPixels });
    expect([resized.height, resized.width, 3]).toEqual(golds("resized_rgb").shape);
    expect(resized.data).toEqual(golds("resized_rgb").data);
  });

  test("is cropped by Lanczos to the same bytes", async () => {
    expect(resizeAndCenterCrop(await source, 56, 56).data).toEqual(golds("lanczos_center_crop_56").data);
  });

  test("becomes the same patches", async () => {
    const [height, width] = golds("resized_rgb").shape as [number, number];
    const image = { width, height, data: golds("resized_rgb").data as Uint8Array };
    const { pixelValues, grid } = processImage(image, release);
    expect([1n, ...grid.map(BigInt)]).toEqual([...(golds("image_grid_thw").data as BigInt64Array)]);
    expect(pixelValues).toEqual(golds("pixel_values").data);
  });
});

describe("sizes", () => {
  test("round half to even, as Python", () => {
    expect([0.5, 1.5, 2.5, 3.5, -0.5, -1.5, 2.4, 2.6].map(roundHalfEven)).toEqual([0, 2, 2, 4, 0, -2, 2, 3]);
    expect(smartResizeFetch(70, 98)).toEqual([56, 112]);
  });

  test("differ between the two variants for strips below the factor", () => {
    expect(smartResizeFetch(20, 300)).toEqual([28, 308]);
    expect(smartResizeProcessor(20, 300)).toEqual([28, 420]);
  });

  test("refuse an aspect over 200 to 1", () => {
    expect(() => smartResizeFetch(1, 201)).toThrow(/201 x 1, the longer side may be at most 200 times/);
    expect(() => smartResizeProcessor(28, 28 * 201)).toThrow(/200 times/);
  });

  test("follow another patch and merge size", () => {
    expect(smartResizeFetch(128, 100, { minPixels: 0, maxPixels: 16384 }, 16)).toEqual([128, 96]);
  });

  test("take the first of two equally near buckets and scale with the level", () => {
    expect(findBucket(1000, 1000)).toEqual([1024, 1024]);
    expect(findBucket(333, 517)).toEqual([832, 1216]);
    expect(findBucket(10, 20, 512)).toEqual([352, 704]);
  });
});

test("a message's limit holds beside the model's, whichever is lower", () => {
  const image = { width: 280, height: 196, data: new Uint8Array(280 * 196 * 3) };
  const model = { minPixels: 4 * 784, maxPixels: 40 * 784 };
  const options = { ...release, mean: [0.5, 0.5, 0.5], std: [0.5, 0.5, 0.5] };
  const positions = (most?: number) => {
    const { grid } = prepareImage(image, { ...options, ...model }, { maxPositions: most });
    return [grid[0] / 2, grid[1] / 2];
  };
  expect(positions()).toEqual([5, 7]);
  expect(positions(1000)).toEqual([5, 7]);
  expect(positions(12)).toEqual([2, 4]);
});

test("sizes are known, and too many patches rejected, before an image is resized", () => {
  const options = { ...release, mean: [0.5, 0.5, 0.5], std: [0.5, 0.5, 0.5] };
  const limits = { minPixels: 4 * 784, maxPixels: 40 * 784 };
  const { fetched, prepared } = preparedSizes({ width: 281, height: 560 }, { ...options, ...limits });
  expect(fetched).toEqual({ width: 280, height: 560 });
  expect(prepared).toEqual({ width: 112, height: 224 });
  const hostile = { minPixels: 1e9, maxPixels: 1e9 };
  expect(() => preparedSizes({ width: 9, height: 9 }, { ...options, ...hostile })).toThrow(InputError);
  expect(() => preparedSizes({ width: 9, height: 9 }, { ...options, ...hostile })).toThrow(
    /make \d+ patches .* at most 1048576/,
  );
});

describe("an image for the model", () => {
  const limits = { minPixels: 4, maxPixels: 1e8 };
  const positions = (width: number, height: number, patchSize: number, fit?: ImageFit) => {
    const image = { width, height, data: new Uint8Array(width * height * 3) };
    const { grid } = prepareImage(image, { patchSize, mergeSize: 2, ...limits }, fit);
    return [grid[0] / 2, grid[1] / 2];
  };

  test.each([8, 14, 16])(
    "has 18 x 18 positions in the recipe of codes alone, whatever its shape, in patches of %i",
    (patch) => {
      const recipe = { imageSize: 1024, maxPositions: 324 };
      for (const [width, height] of [
        [84, 84],
        [150, 224],
        [1200, 300],
        [1, 3],
      ] as const)
        expect(positions(width, height, patch, recipe)).toEqual([18, 18]);
      expect(positions(150, 224, patch, { maxPositions: 324 })).not.toEqual([18, 18]);
    },
  );

  test("is a square first by Pillow's Lanczos filter", () => {
    const image = { width: 3, height: 2, data: Uint8Array.from({ length: 18 }, (_, i) => (i * 97) % 256) };
    const options = { patchSize: 14, mergeSize: 2 };
    const square = resize(image, 56, 56, "lanczos");
    expect(prepareImage(image, { ...options, ...limits }, { imageSize: 56 })).toEqual(
      prepareImage(square, { ...options, ...limits }),
    );
    expect(prepareImage(image, { ...options, ...limits }, { imageSize: 56 })).not.toEqual(
      prepareImage(resize(image, 56, 56), { ...options, ...limits }),
    );
  });

  test.each([
    [3300, 23, 8, [1, 206]], // 143 to 1, of which the fetch makes 206 to 1
    [23, 3300, 8, [206, 1]],
    [5740, 41, 14, [1, 205]],
    [200, 1, 14, [1, 7]],
    [4600, 23, 8, [1, 288]], // 200 to 1
  ] as const)(
    "is read as a strip of up to 200 to 1, however its short side is rounded: %i x %i",
    (width, height, patch, grid) => {
      expect(positions(width, height, patch)).toEqual(grid);
    },
  );

  test("is rejected beyond 200 to 1, with the size that it has", () => {
    expect(() => positions(4601, 23, 8)).toThrow("The image is 4601 x 23, the longer side may be at most 200 times");
  });
});

describe("patches", () => {
  test("run in raster order with channels first", () => {
    const data = Uint8Array.from({ length: 4 * 4 * 3 }, (_, i) => i);
    const { pixelValues, grid } = cutPatches({ width: 4, height: 4, data }, { patchSize: 2, mergeSize: 2 });
    expect(grid).toEqual([2, 2]);
    const levels = [...pixelValues].map((value) => Math.round((value * 0.5 + 0.5) * 255));
    expect(levels.slice(0, 12)).toEqual([0, 3, 12, 15, 1, 4, 13, 16, 2, 5, 14, 17]);
    expect(levels[12]).toBe(6);
    expect(levels[24]).toBe(24);
  });

  test("refuse sides that do not divide", () => {
    const image = { width: 28, height: 14, data: new Uint8Array(28 * 14 * 3) };
    expect(() => cutPatches(image, release)).toThrow("Expected sides that are multiples of 28 pixels, got 28 x 14");
  });
});

describe("resize and crop", () => {
  test("keep a flat colour and an image of the same size", () => {
    const flat = { width: 3, height: 5, data: new Uint8Array(45).fill(77) };
    expect(new Set(resize(flat, 17, 2).data)).toEqual(new Set([77]));
    expect(new Set(resize(flat, 1, 40, "lanczos").data)).toEqual(new Set([77]));
    expect(resize(flat, 3, 5)).toBe(flat);
  });

  test("fill with black outside the image", () => {
    const image = { width: 2, height: 1, data: Uint8Array.of(1, 2, 3, 4, 5, 6) };
    expect([...crop(image, 1, -1, 2, 2).data]).toEqual([0, 0, 0, 0, 0, 0, 4, 5, 6, 0, 0, 0]);
  });
});
