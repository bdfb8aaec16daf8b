// The options of `evaluateNano`, `evaluateSuites` and `kelix best-of`; ../options.ts says what they are for.

import * as z from "zod";
import { callback, integer, type Options, seeded, signal, text } from "../options.ts";

const evaluate = {
  signal,
  /** Called before each image with the part of the suite that it belongs to. */
  onProgress: callback<(part: string, done: number, total: number) => void>().optional(),
  /** Divides the number of images of each part; for a quick look. */
  every: integer(1, 100).default(1).describe("use every n-th image only, for a quick look"),
  /** Images imagined for each prompt: one is drawn at random, so more of them tell two models apart better. */
  seeds: integer(1, 1000).default(1).describe("images drawn for each prompt; more of them separate two models better"),
};

const suites = {
  ...seeded,
  signal,
  /** Called before each item with the part of the suite that it belongs to. */
  onProgress: callback<(part: string, done: number, total: number) => void>().optional(),
  /** Told in a sentence what is fetched or computed once, and what cannot be measured. */
  onNote: callback<(line: string) => void>().optional(),
  /** Items of each kind at most, for a quick look; as many as the suite asks for if absent. */
  limit: integer(1, 1_000_000).optional().describe("maximum number of items of each kind, for a quick look"),
  seeds: evaluate.seeds,
  /** The questions of the suite `vqa`: a file of JSON Lines. */
  data: text.optional().describe("questions for vqa: one {image, question, answer} a line"),
  /** Where drawn training data and the judge's weights lie; KELIX_CACHE or ~/.cache/kelix/data if absent. */
  cacheFolder: text.optional(),
};

/** Of `kelix best-of`. */
export const bestOfOptions = z.strictObject({
  ...seeded,
  n: integer(1, 64).default(8).describe("images drawn for each prompt"),
  limit: integer(1, 1_000_000).optional().describe("only so many prompts, evenly spread"),
});

export const evalOptions = z.strictObject(evaluate);
export const suiteOptions = z.strictObject(suites);

export interface EvalOptions extends Options<typeof evaluate> {}
export interface SuiteOptions extends Options<typeof suites> {}
