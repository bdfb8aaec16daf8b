// The two small configs beside a model's weights: how images are prepared (preprocessor_config.json) and how it draws and
// writes (generation_config.json). Where a field or a whole file is absent the released models' settings hold.

import * as z from "zod";
import { ignored, type OnUnknown, only, parseConfig, unsupported } from "../checkpoint/parse-config.ts";
import type { Preparation } from "../image/processor.ts";
import { DEFAULT_FACTOR, PROCESSOR_LIMITS } from "../image/smart-resize.ts";
import { ranges } from "../options.ts";
import { fusions, type VisionConfig } from "../vision/config.ts";

/** Merged 2 x 2, as the projector is. */
const MERGE = 2;

const limit = z.int().min(1).max(100_000_000);
const channels = <T extends z.ZodType>(value: T) => z.array(value).length(3);
/** Levels are from 0 to 1 before the mean is taken off. */
const MAX_MEAN = 10;
/** What is smaller makes numbers of ordinary levels that no model was trained on, and at last infinite ones. */
const MIN_DEVIATION = 1e-3;

/** Steps of the reference's processor that are always taken here. */
const always = only(true);
const BICUBIC = 3;
const LEVEL = 1 / 255;

/** preprocessor_config.json of a model with this encoder; by default limits count as many positions as the public Keye-VL's. */
function preprocessorSchema({ patch_size }: VisionConfig) {
  const scale = ((patch_size * MERGE) / DEFAULT_FACTOR) ** 2;
  return z
    .strictObject({
      patch_size: z.int().default(patch_size),
      merge_size: z.literal(MERGE).default(MERGE),
      temporal_patch_size: z.literal(1).default(1),
      min_pixels: limit.default(Math.round(PROCESSOR_LIMITS.minPixels * scale)),
      max_pixels: limit.default(Math.round(PROCESSOR_LIMITS.maxPixels * scale)),
      image_mean: channels(z.number().min(-MAX_MEAN).max(MAX_MEAN)).default([0.5, 0.5, 0.5]),
      image_std: channels(z.number().min(MIN_DEVIATION)).default([0.5, 0.5, 0.5]),
      do_resize: always,
      do_rescale: always,
      do_normalize: always,
      do_convert_rgb: z.boolean().nullable().default(true),
      resample: z.literal(BICUBIC).default(BICUBIC),
      rescale_factor: z.number().default(LEVEL),
      // Names of Python classes, and the limits once more in the form of another library.
      size: ignored,
      auto_map: ignored,
      processor_class: ignored,
      image_processor_type: ignored,
      feature_extractor_type: ignored,
      video_processor_type: ignored,
      _processor_class: ignored,
    })
    .superRefine((c, context) => {
      const refuse = (field: keyof typeof c, message: string, details = {}) =>
        context.addIssue({ code: "custom", path: [field], message, ...details });
      if (c.patch_size !== patch_size) {
        refuse("patch_size", `is ${c.patch_size}, the encoder's patches have ${patch_size} pixels a side`);
      }
      if (c.min_pixels > c.max_pixels) refuse("min_pixels", `${c.min_pixels} is above max_pixels ${c.max_pixels}`);
      if (Math.abs(c.rescale_factor / LEVEL - 1) > 1e-6) {
        refuse("rescale_factor", `is ${c.rescale_factor}, which is not supported: only 1/255`, unsupported);
      }
    });
}
export type PreprocessorConfig = z.infer<ReturnType<typeof preprocessorSchema>>;

/** Reads preprocessor_config.json; `undefined` stands for an absent file. Throws as parseConfig does. */
export function parsePreprocessorConfig(
  json: unknown,
  vision: VisionConfig,
  file = "preprocessor_config.json",
  onUnknown?: OnUnknown,
): PreprocessorConfig {
  return parseConfig(preprocessorSchema(vision), json ?? {}, file, onUnknown);
}

export function preparationOf(preprocessor: PreprocessorConfig): Preparation {
  const { patch_size, merge_size, image_mean, image_std, min_pixels, max_pixels } = preprocessor;
  const patches = { patchSize: patch_size, mergeSize: merge_size, mean: image_mean, std: image_std };
  return { ...patches, minPixels: min_pixels, maxPixels: max_pixels };
}

const side = z.int().min(1).max(1024);

/** Of any image that is drawn: more than the largest that any version of the reference reads, 20,480. */
const MAX_POSITIONS = 65_536;

const generationFields = {
  /**
   * How the detokenizer was told in training where codes lie on the image, and how large its images are.
   * `raster`: each code at its own row and column; an image of the codes' grid and scale. What `kelix train` does.
   * `reference`: the published recipe, whose columns drift by one a row; always square images of the transformer's
   * `input_size`. Released models, which have no such file, were trained so.
   */
  positions: z.enum(["raster", "reference"]).default("reference"),
  reconstruct: z
    .strictObject({
      steps: ranges.steps.default(20),
      guidance: ranges.guidance.default(4.5),
      /**
       * An image to be drawn again is first brought to so many pixels a side, its aspect not kept; it keeps its size and aspect
       * if absent and positions are `raster`. The reference's scripts have 1024, whatever the transformer's size.
       */
      image_size: z.int().min(1).max(4096).optional(),
      /** Then it is made so small that it has at most so many positions. */
      max_positions: z.int().min(1).max(MAX_POSITIONS).default(324),
      /** How the embeddings of a position's codes are fused; the tokenizer's `fusion_type` if absent. */
      fusion: z.enum(fusions).optional(),
    })
    .prefault({}),
  imagine: z
    .strictObject({
      steps: ranges.steps.default(50),
      guidance: ranges.guidance.default(1),
      temperature: ranges.temperature.default(0),
      top_k: ranges.topK.default(0),
      top_p: ranges.topP.default(1),
      /** Rows and columns of the image's positions. */
      grid: z
        .tuple([side, side])
        .default([18, 18])
        .refine(([rows, columns]) => rows * columns <= MAX_POSITIONS, `has more than ${MAX_POSITIONS} positions`),
    })
    .prefault({}),
};

/** Settings of transformers' own generation, which the reference's does not read and which have no bearing here. */
const transformersFields = [
  "transformers_version",
  "_from_model_config",
  "bos_token_id",
  "eos_token_id",
  "pad_token_id",
  "decoder_start_token_id",
  "do_sample",
  "temperature",
  "top_k",
  "top_p",
  "min_p",
  "typical_p",
  "repetition_penalty",
  "length_penalty",
  "no_repeat_ngram_size",
  "num_beams",
  "num_return_sequences",
  "max_length",
  "max_new_tokens",
  "min_length",
  "min_new_tokens",
  "use_cache",
  "cache_implementation",
  "output_attentions",
  "output_hidden_states",
  "output_scores",
  "return_dict_in_generate",
  "attn_implementation",
] as const;

const generationSchema = z.strictObject({
  ...generationFields,
  ...(Object.fromEntries(transformersFields.map((field) => [field, ignored])) as Record<
    (typeof transformersFields)[number],
    typeof ignored
  >),
});
export type GenerationConfig = z.infer<z.ZodObject<typeof generationFields>>;

/** Side of the image that the reference's scripts reconstruct. */
const REFERENCE_IMAGE_SIZE = 1024;

/** vision_start before an image, and a token of the prompt at the least. */
const FEWEST_OTHERS = 2;

/**
 * Reads generation_config.json; `undefined` stands for an absent file. `maxPositions` is what the language model reads at most: a
 * grid that the file names must fit. Throws as parseConfig does.
 */
export function parseGenerationConfig(
  json: unknown,
  maxPositions = Number.POSITIVE_INFINITY,
  file = "generation_config.json",
  onUnknown?: OnUnknown,
): GenerationConfig {
  const fits = generationSchema.superRefine(({ imagine: { grid } }, context) => {
    const isStated = (json as { imagine?: { grid?: unknown } } | undefined)?.imagine?.grid !== undefined;
    if (!isStated || grid[0] * grid[1] + FEWEST_OTHERS <= maxPositions) return;
    const message = `has ${grid[0] * grid[1]} positions, the language model reads at most ${maxPositions} with the prompt`;
    context.addIssue({ code: "custom", path: ["imagine", "grid"], message });
  });
  const { positions, reconstruct, imagine } = parseConfig(fits, json ?? {}, file, onUnknown);
  if (positions === "raster") return { positions, reconstruct, imagine };
  return { positions, reconstruct: { image_size: REFERENCE_IMAGE_SIZE, ...reconstruct }, imagine };
}
