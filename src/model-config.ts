// The two small configs beside a model's weights: how pictures are prepared (preprocessor_config.json) and how it draws and
// writes (generation_config.json). Where a field or a whole file is absent the released models' settings hold.

import { z } from "zod";
import { DEFAULT_FACTOR, PROCESSOR_LIMITS } from "./image/smart-resize.ts";
import type { VisionConfig } from "./vision/config.ts";

/** Merged 2 x 2, as the projector is. */
const MERGE = 2;

const limit = z.int().min(1).max(100_000_000);
const channels = <T extends z.ZodType>(value: T) => z.array(value).length(3);

/** preprocessor_config.json of a model with this encoder; by default limits count as many positions as the public Keye-VL's. */
function preprocessorSchema({ patch_size }: VisionConfig) {
  const scale = ((patch_size * MERGE) / DEFAULT_FACTOR) ** 2;
  return z.object({
    patch_size: z.literal(patch_size, { error: `must be the encoder's, ${patch_size}` }).default(patch_size),
    merge_size: z.literal(MERGE).default(MERGE),
    min_pixels: limit.default(Math.round(PROCESSOR_LIMITS.minPixels * scale)),
    max_pixels: limit.default(Math.round(PROCESSOR_LIMITS.maxPixels * scale)),
    image_mean: channels(z.number()).default([0.5, 0.5, 0.5]),
    image_std: channels(z.number().positive()).default([0.5, 0.5, 0.5]),
  });
}
export type PreprocessorConfig = z.infer<ReturnType<typeof preprocessorSchema>>;

/** Reads preprocessor_config.json; `undefined` stands for an absent file. */
export function parsePreprocessorConfig(json: unknown, vision: VisionConfig): PreprocessorConfig {
  return preprocessorSchema(vision).parse(json ?? {});
}

const steps = z.int().min(1).max(1000);
const guidance = z.number().min(0).max(100);
const side = z.int().min(1).max(1024);

const generationSchema = z.object({
  /**
   * How the detokenizer was told in training where codes lie on the picture, and how large its pictures are.
   * `raster`: each code at its own row and column; a picture of the codes' grid and scale. What `kelix train` does.
   * `reference`: the published recipe, whose columns drift by one a row; always square pictures of the transformer's
   * `input_size`. Released models, which have no such file, were trained so.
   */
  positions: z.enum(["raster", "reference"]).default("reference"),
  reconstruct: z
    .object({
      steps: steps.default(20),
      guidance: guidance.default(4.5),
      /**
       * A picture to be drawn again is first brought to so many pixels a side, its aspect not kept; it keeps its size and aspect
       * if absent and positions are `raster`. The reference's scripts have 1024, whatever the transformer's size.
       */
      image_size: z.int().min(1).max(4096).optional(),
      /** Then it is made so small that it has at most so many positions. */
      max_positions: z.int().min(1).max(65_536).default(324),
      /** How the embeddings of a position's codes are fused; the tokenizer's `fusion_type` if absent. */
      fusion: z.enum(["sum", "mean"]).optional(),
    })
    .prefault({}),
  imagine: z
    .object({
      steps: steps.default(50),
      guidance: guidance.default(1),
      temperature: z.number().min(0).default(0),
      top_k: z.int().min(0).default(0),
      top_p: z.number().gt(0).max(1).default(1),
      /** Rows and columns of the picture's positions. */
      grid: z.tuple([side, side]).default([18, 18]),
    })
    .prefault({}),
});
export type GenerationConfig = z.infer<typeof generationSchema>;

/** Side of the picture that the reference's scripts reconstruct. */
const REFERENCE_IMAGE_SIZE = 1024;

/** Reads generation_config.json; `undefined` stands for an absent file. Fields of other libraries are passed over. */
export function parseGenerationConfig(json: unknown): GenerationConfig {
  const config = generationSchema.parse(json ?? {});
  if (config.positions === "raster") return config;
  return { ...config, reconstruct: { image_size: REFERENCE_IMAGE_SIZE, ...config.reconstruct } };
}
