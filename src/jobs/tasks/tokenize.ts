// tokenize: the codes of a shard's images in one safetensors file, which `kelix reconstruct` and other tasks read.

import { MAX_IMAGES, type NamedCodes, writeCodes } from "../../corpus/code-files.ts";
import type { RgbImage } from "../../image/rgb.ts";
import { toWriter } from "../../output/output.ts";
import type { ImageCodes } from "../../vision/image-codes.ts";
import { pixelsOf, type Task } from "./task.ts";

export const task: Task<"tokenize", RgbImage, ImageCodes> = {
  suffix: ".safetensors",
  together: 1,
  maxItems: MAX_IMAGES,
  prepare: async (image) => pixelsOf(image, "tokenize"),
  work: (image, _seed, { kelix, signal }) => kelix.tokenize(image, { signal }),
  async write(results, file, { modelHash }) {
    // The header comes first and has all offsets, so all codes are kept until the end: a few hundred bytes per image.
    const images: NamedCodes[] = [];
    for await (const { key, value } of results) images.push({ ...value, image: key });
    await writeCodes(
      { name: "codes.safetensors", write: (content) => toWriter(content)(file) },
      images,
      `sha256:${modelHash}`,
    );
  },
};
