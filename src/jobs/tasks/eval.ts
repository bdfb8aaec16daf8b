// eval: how well a shard's images are reconstructed from their codes, as measures in a JSON file. Its counts let shards be combined.

import { InputError } from "../../errors.ts";
import { meanOf } from "../../eval/measure.ts";
import { ssim } from "../../eval/ssim.ts";
import { byBook, perplexityOf, useOf } from "../../eval/suites/reconstruction.ts";
import { resize } from "../../image/resize.ts";
import { type RgbImage, readPixels } from "../../image/rgb.ts";
import { writeAll } from "../../output/atomic-file.ts";
import { pixelError } from "../../train/metrics.ts";
import { pixelsOf, type Task } from "./task.ts";

interface Measured {
  readonly psnr: number;
  readonly ssim: number;
  /** For each codebook, the codes of all positions. */
  readonly codes: readonly (readonly number[])[];
}

/** The window of SSIM, in pixels. */
const MIN_SIDE = 11;

export const task: Task<"eval", RgbImage, Measured> = {
  suffix: ".json",
  together: 1,
  maxItems: 1_000_000,
  async prepare(image) {
    const original = pixelsOf(image, "eval");
    const { width, height } = original;
    if (Math.min(width, height) >= MIN_SIDE) return original;
    throw new InputError(
      `an image of ${width} x ${height} is too small to be measured; at least ${MIN_SIDE} pixels a side`,
      {
        code: "invalid_image",
      },
    );
  },
  async work(image, seed, { kelix, options, signal }) {
    const { codes } = await kelix.tokenize(image, { signal });
    const drawn = readPixels(await kelix.reconstruct(image, { ...options, seed, signal }));
    const again = resize(drawn, image.width, image.height);
    const { codebooks } = kelix.info();
    return { psnr: pixelError([image], [again]).psnr, ssim: ssim(image, again), codes: byBook(codes, codebooks) };
  },
  async write(results, file, { kelix }) {
    const items: Measured[] = [];
    for await (const { value } of results) items.push(value);
    const { codebooks, codesPerBook } = kelix.info();
    const summary = {
      images: items.length,
      psnr: meanOf(items.map(({ psnr }) => psnr)),
      ssim: meanOf(items.map((item) => item.ssim)),
      books: Array.from({ length: codebooks }, (_, book) => ({
        use: useOf(items, book, codesPerBook),
        perplexity: perplexityOf(items, book),
      })),
    };
    await writeAll(file, new TextEncoder().encode(`${JSON.stringify(summary, null, 2)}\n`));
  },
};
