// Settings common to every training stage's config file: the optimizer, the schedule, how often to log, save and sample.
// The stage's own settings are under `data` and `model`.

import { existsSync } from "node:fs";
import { resolve, sep } from "node:path";
import { fileURLToPath } from "node:url";
import * as z from "zod";
import { readJson } from "../checkpoint/json-file.ts";
import { fileAt } from "../files/folder.node.ts";
import { parseSettings, pathSchema } from "./settings.ts";

/** More steps than any run has. */
const MAX_COUNT = 1e9;

const positive = z.number().positive().max(1e6);
const count = z.int().min(1).max(MAX_COUNT);
const patterns = z.array(z.string().max(1000)).max(1000);

export const learningRateSchema = z.strictObject({
  schedule: z.enum(["cosine", "cosine_v2", "constant"]).default("cosine"),
  base: positive,
  min: z.number().min(0).max(1e6).default(0),
  warmup: z.int().min(0).max(MAX_COUNT).default(0),
  decay: count.optional(),
});

export const optimizerSchema = z.strictObject({
  betas: z.tuple([z.number().min(0).max(0.9999), z.number().min(0).max(0.99999)]).default([0.9, 0.95]),
  eps: positive.default(1e-8),
  weightDecay: z.number().min(0).max(1e6).default(0),
  clipValue: positive.optional(),
  clipNorm: positive.optional(),
  /** Parameters whose path contains one of these do not decay. */
  noDecay: patterns.default(["bias", "norm"]),
  /** Factors on the learning rate of parameters whose path contains the key. */
  rateFactors: z.record(z.string(), z.number().min(0).max(1e6)).default({}),
});

/** Threads of one operation; the command line has the same limit. */
const MAX_THREADS = 256;

export const stageNames = ["tokenizer", "language-model", "autoencoder", "diffusion", "adapter"] as const;

export const runSchema = z.strictObject({
  stage: z.enum(stageNames),
  description: z.string().max(10_000),
  /** The run's folder, below the working directory. */
  folder: pathSchema,
  seed: z.int().min(0).default(1),
  steps: count,
  /** Batches whose gradients are averaged for one update. */
  accumulate: count.default(1),
  learningRate: learningRateSchema,
  optimizer: optimizerSchema.prefault({}),
  /** Decay of the running average of the weights; no average if absent. */
  ema: z.number().min(0).max(0.999999).optional(),
  /**
   * Which parameters train: those whose path contains one of these patterns ("^" anchors it to the start), except matches of a
   * pattern after "!". All by default. The others are frozen: they stay in `initFrom`, as stored there.
   */
  train: patterns.default([]),
  /** Folders or files of weights to start from; later ones override earlier ones; the rest is initialized randomly. */
  initFrom: z.array(pathSchema).max(1000).default([]),
  threads: z.int().min(1).max(MAX_THREADS).optional(),
  logEvery: count.default(10),
  checkpointEvery: count.default(200),
  sampleEvery: count.default(500),
  data: z.record(z.string(), z.unknown()).default({}),
  model: z.record(z.string(), z.unknown()),
});

export type RunConfig = z.infer<typeof runSchema>;

/**
 * Reads a config file, from the working directory or else from the package, which has `configs/`. Throws
 * one message that names every invalid field.
 */
export async function readRunConfig(path: string): Promise<RunConfig> {
  const file = locateConfig(path);
  return parseSettings(runSchema, await readJson(...fileAt(file)), file);
}

/** Checks a stage's own settings: `data` or `model` of a config. */
export function parseSection<T extends z.ZodType>(
  schema: T,
  config: RunConfig,
  section: "data" | "model",
): z.output<T> {
  return parseSettings(schema, config[section], section);
}

const packageFolder = fileURLToPath(new URL("../../", import.meta.url));

function locateConfig(path: string): string {
  if (existsSync(path)) return path;
  const own = resolve(packageFolder, path);
  return own.startsWith(resolve(packageFolder, "configs") + sep) && existsSync(own) ? own : path;
}

/** Whether the patterns of `train` select a parameter. */
export function isTrained(path: string, patterns: readonly string[]): boolean {
  const matches = (pattern: string) =>
    pattern.startsWith("^") ? path.startsWith(pattern.slice(1)) : path.includes(pattern);
  const wanted = patterns.filter((pattern) => !pattern.startsWith("!"));
  const refused = patterns.filter((pattern) => pattern.startsWith("!"));
  return (wanted.length === 0 || wanted.some(matches)) && !refused.some((pattern) => matches(pattern.slice(1)));
}
