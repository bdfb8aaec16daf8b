import { expect, test } from "vitest";
import { ModelError } from "../errors.ts";
import { visionConfigSchema } from "../vision/config.ts";
import { parseGenerationConfig, parsePreprocessorConfig } from "./config.ts";

const vision = visionConfigSchema.parse({});

test("the public processor's file is known in full", () => {
  const unknown: string[] = [];
  const config = parsePreprocessorConfig(
    {
      auto_map: { AutoProcessor: "processing_keye.KeyeProcessor" },
      do_convert_rgb: true,
      do_normalize: true,
      do_rescale: true,
      do_resize: true,
      image_mean: [0.5, 0.5, 0.5],
      image_processor_type: "SiglipImageProcessor",
      image_std: [0.5, 0.5, 0.5],
      max_pixels: 1_003_520,
      merge_size: 2,
      min_pixels: 3136,
      patch_size: 14,
      processor_class: "KeyeProcessor",
      resample: 3,
      rescale_factor: 0.00392156862745098,
      size: { max_pixels: 1_003_520, min_pixels: 3136 },
      temporal_patch_size: 1,
    },
    vision,
    "preprocessor_config.json",
    (fields) => unknown.push(...fields),
  );
  expect(unknown).toEqual([]);
  expect(config).toMatchObject({ min_pixels: 3136, max_pixels: 1_003_520 });
});

test.each([
  [{ do_resize: false }, "do_resize"],
  [{ do_rescale: false }, "do_rescale"],
  [{ do_normalize: false }, "do_normalize"],
  [{ resample: 2 }, "resample"],
  [{ rescale_factor: 1 / 127.5 }, "rescale_factor"],
  [{ temporal_patch_size: 2 }, "temporal_patch_size"],
  [{ merge_size: 1 }, "merge_size"],
])("what would change every code and is not supported is rejected: %j", (json, field) => {
  expect(() => parsePreprocessorConfig(json, vision)).toThrow(
    expect.objectContaining({ code: "unsupported_model", message: expect.stringContaining(field) }),
  );
});

test.each([
  [{ min_pixels: 90_000, max_pixels: 1 }, "min_pixels 90000 is above max_pixels 1"],
  [{ patch_size: 16 }, "patch_size is 16, the encoder's patches have 14 pixels a side"],
  [{ image_std: [1e-320, 1, 1] }, "image_std.0 is 1e-320, wanted at least 0.001"],
  [{ image_mean: [1e308, 0, 0] }, "image_mean.0 is 1e+308"],
])("limits and levels that make no image are rejected: %j", (json, message) => {
  expect(() => parsePreprocessorConfig(json, vision)).toThrow(ModelError);
  expect(() => parsePreprocessorConfig(json, vision)).toThrow(message);
});

test("settings of transformers' generation are known and without bearing, others are unknown", () => {
  const unknown: string[] = [];
  const json = { do_sample: true, eos_token_id: [1, 2], temperature: 0.6, top_k: 20, imagine: { grib: 1 }, new_one: 2 };
  const { imagine } = parseGenerationConfig(json, 1024, "generation_config.json", (fields) => unknown.push(...fields));
  expect(imagine).toMatchObject({ temperature: 0, top_k: 0 });
  expect(unknown.sort()).toEqual(["imagine.grib", "new_one"]);
});

test("a grid must fit the language model where the file names one", () => {
  const grid = (rows: number, columns: number) => ({ imagine: { grid: [rows, columns] } });
  expect(() => parseGenerationConfig(grid(33, 33), 1024)).toThrow(
    /has 1089 positions, .* at most 1024 with the prompt/,
  );
  expect(() => parseGenerationConfig(grid(1024, 1024), 2 ** 24)).toThrow("has more than 65536 positions");
  expect(() => parseGenerationConfig(grid(30, 30), 1024)).not.toThrow();
  expect(() => parseGenerationConfig(undefined, 16)).not.toThrow();
});
