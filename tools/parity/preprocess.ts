// Parity of preprocessing: sizes, resized and cropped pixels, patches of the folder's images `image_*.png`.

import { readdir } from "node:fs/promises";
import { join } from "node:path";
import { z } from "zod";
import { loadImage } from "../../src/image/image-source.node.ts";
import type { RgbImage } from "../../src/image/rgb.ts";
import { type PixelLimits, smartResizeFetch } from "../../src/image/smart-resize.ts";
import { f32, type HostTensor, hostTensor, i32 } from "../../src/runtime/host-tensor.ts";
import { findBucket } from "./buckets.ts";
import type { GoldenFolder, ParityCase } from "./case.ts";
import { resizeAndCenterCrop } from "./crop.ts";
import { fetchResize, processImage, smartResizeProcessor, TRAINING_FETCH_LIMITS } from "./reference-resize.ts";

const triple = z.tuple([z.number(), z.number(), z.number()]);
const size = z.tuple([z.int(), z.int()]);
const configSchema = z.object({
  processor: z.object({
    min_pixels: z.number(),
    max_pixels: z.number(),
    patch_size: z.int().min(1),
    merge_size: z.int().min(1),
    image_mean: triple,
    image_std: triple,
  }),
  image_pixel_limits: z.record(z.string(), size).default({}),
  sizes: z.array(z.object({ height: z.int().min(1), width: z.int().min(1) }).catchall(size)).default([]),
});
type Config = z.output<typeof configSchema>;

export const preprocessCase: ParityCase = {
  matches: (config) => "processor" in config,

  async run(folder) {
    const config = configSchema.parse(folder.config);
    const results = computeSizes(config);
    const files = (await readdir(folder.dir)).filter((name) => /^image_.+\.(png|jpe?g|webp)$/.test(name));
    for (const file of files.sort()) {
      const key = file.slice("image_".length, file.lastIndexOf("."));
      const image = await loadImage(join(folder.dir, file));
      for (const [name, tensor] of processOne(image, key, config, folder)) results.set(`${key}.${name}`, tensor);
    }
    return results;
  },

  references(folder) {
    const { sizes } = configSchema.parse(folder.config);
    return new Map(
      sizes.flatMap(({ height, width, ...settings }) =>
        Object.entries(settings).map(([name, value]) => [`size.${height}x${width}.${name}`, i32(value, [2])] as const),
      ),
    );
  },

  // Bytes and sizes are integers and so exact; the reference would allow a bicubic one level.
  tolerance: () => ({ absolute: 1e-6 }),
};

function processOne(image: RgbImage, key: string, config: Config, folder: GoldenFolder): [string, HostTensor][] {
  const { processor, image_pixel_limits } = config;
  const given = image_pixel_limits[key];
  const resized = fetchResize(image, given ? { minPixels: given[0], maxPixels: given[1] } : TRAINING_FETCH_LIMITS);
  const { patch_size: patchSize, merge_size: mergeSize, image_mean: mean, image_std: std } = processor;
  const { pixelValues, grid } = processImage(resized, { patchSize, mergeSize, mean, std }, processorLimits(config));
  const crops = [...folder.outputsPresent]
    .map((name) => /^(.*)\.lanczos_center_crop_(\d+)$/.exec(name))
    .filter((match) => match?.[1] === key)
    .map((match) => Number(match?.[2]));
  return [
    ["source_rgb", pixels(image)],
    ["resized_rgb", pixels(resized)],
    ["pixel_values", f32(pixelValues, [grid[0] * grid[1], 3, patchSize, patchSize])],
    ["image_grid_thw", hostTensor("i64", BigInt64Array.of(1n, BigInt(grid[0]), BigInt(grid[1])), [1, 3])],
    ...crops.map((side): [string, HostTensor] => [
      `lanczos_center_crop_${side}`,
      pixels(resizeAndCenterCrop(image, side, side)),
    ]),
  ];
}

/** The settings of the sizes table by their names; a setting of another name is left out. */
function computeSizes(config: Config): Map<string, HostTensor> {
  const results = new Map<string, HostTensor>();
  for (const { height, width, ...settings } of config.sizes) {
    for (const setting of Object.keys(settings)) {
      const found = computeSize(height, width, setting, config);
      if (found) results.set(`size.${height}x${width}.${setting}`, i32(found, [2]));
    }
  }
  return results;
}

function computeSize(height: number, width: number, setting: string, config: Config): [number, number] | undefined {
  if (setting === "utils_default") return smartResizeFetch(height, width, TRAINING_FETCH_LIMITS);
  const [, least, most] = /^utils_\w*?(\d+)_(\d+)_tokens$/.exec(setting) ?? [];
  if (least && most) {
    return smartResizeFetch(height, width, { minPixels: Number(least) * 784, maxPixels: Number(most) * 784 });
  }
  const { patch_size, merge_size } = config.processor;
  if (setting.startsWith("processor")) {
    return smartResizeProcessor(height, width, processorLimits(config), patch_size * merge_size);
  }
  const [, level] = /^train_bucket_(512|1024)$/.exec(setting) ?? [];
  return level ? findBucket(height, width, Number(level)) : undefined;
}

function processorLimits({ processor }: Config): PixelLimits {
  return { minPixels: processor.min_pixels, maxPixels: processor.max_pixels };
}

function pixels({ width, height, data }: RgbImage): HostTensor {
  return hostTensor("u8", data, [height, width, 3]);
}
