// The options of `convertModel` and `mergeAdapter`; ../options.ts says what they are for.

import * as z from "zod";
import { callback, fetching, integer, type Options, parts, signal } from "../options.ts";
import type { ConvertProgress } from "./convert.ts";

/** Precisions that linear maps can be stored at. */
export const weightFormats = ["int4", "int8", "bf16"] as const;

const convert = {
  ...parts,
  signal,
  /** Of linear maps. */
  weights: z
    .enum(weightFormats, { error: `one of ${weightFormats.join(", ")}` })
    .describe("precision of the weights of linear layers"),
  /** Weights that share a scale; if absent 32 for 4 bits in rows below 1024, else 128. */
  block: z
    .literal([32, 128], { error: "32 or 128" })
    .optional()
    .describe("number of weights that share a scale (default: 32 at 4 bits in rows shorter than 1024, else 128)"),
  /** Called as weights are written. */
  onProgress: callback<(progress: ConvertProgress) => void>().optional(),
  /** Called while a model of the Hub that is not in the cache is fetched. */
  onFetch: fetching.onProgress,
  onWait: fetching.onWait,
  /** Size of one file; 5 GiB if absent. */
  maxShardBytes: integer(1, Number.MAX_SAFE_INTEGER).optional(),
};

const merge = {
  signal,
  /** Called as weights are written. */
  onProgress: callback<(progress: ConvertProgress) => void>().optional(),
};

export const convertOptions = z.strictObject(convert);
export const mergeOptions = z.strictObject(merge);

export interface ConvertOptions extends Options<typeof convert> {
  readonly weights: z.input<typeof convert.weights>;
}
export interface MergeOptions extends Options<typeof merge> {}
