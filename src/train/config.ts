// What every training stage's config file says: the optimizer, the schedule, how often to log, save and show samples.
// The stage's own settings stand beside it under `data` and `model`.

import { readFile } from "node:fs/promises";
import { z } from "zod";
import { parseConfig } from "../checkpoint/parse-config.ts";

const positive = z.number().positive();
const count = z.int().min(1);

export const learningRateSchema = z.strictObject({
  schedule: z.enum(["cosine", "cosine_v2", "constant"]).default("cosine"),
  base: positive,
  min: z.number().min(0).default(0),
  warmup: z.int().min(0).default(0),
  decay: z.int().min(1).optional(),
});

export const optimizerSchema = z.strictObject({
  betas: z.tuple([z.number().min(0).max(0.9999), z.number().min(0).max(0.99999)]).default([0.9, 0.95]),
  eps: positive.default(1e-8),
  weightDecay: z.number().min(0).default(0),
  clipValue: positive.optional(),
  clipNorm: positive.optional(),
  /** Parameters whose path contains one of these do not decay. */
  noDecay: z.array(z.string()).default(["bias", "norm"]),
  /** Factors on the learning rate of parameters whose path contains the key. */
  rateFactors: z.record(z.string(), z.number().min(0)).default({}),
});

export const runSchema = z.strictObject({
  stage: z.enum(["tokenizer", "language-model", "autoencoder", "diffusion"]),
  description: z.string(),
  /** The run's folder, below the working directory. */
  folder: z.string().min(1),
  seed: z.int().min(0).default(1),
  steps: count,
  /** Gradients of so many batches are averaged before an update. */
  accumulate: count.default(1),
  learningRate: learningRateSchema,
  optimizer: optimizerSchema.prefault({}),
  /** Decay of the running average of the weights; none if absent. */
  ema: z.number().min(0).max(0.999999).optional(),
  /** Parameters whose path contains one of these stay as they are. If all start with "^", all others do. */
  freeze: z.array(z.string()).default([]),
  /** Folders or files of weights to start from; later ones win; what none of them has is drawn. */
  initFrom: z.array(z.string()).default([]),
  threads: count.optional(),
  logEvery: count.default(10),
  checkpointEvery: count.default(200),
  sampleEvery: count.default(500),
  data: z.record(z.string(), z.unknown()).default({}),
  model: z.record(z.string(), z.unknown()),
});

export type RunConfig = z.infer<typeof runSchema>;

/** Reads a config file; throws one message that names every field that is wrong. */
export async function readRunConfig(path: string): Promise<RunConfig> {
  const text = await readFile(path, "utf8").catch((error: NodeJS.ErrnoException) => {
    throw new Error(`${path}: cannot be read (${error.code})`);
  });
  let value: unknown;
  try {
    value = JSON.parse(text);
  } catch (error) {
    throw new Error(`${path}: is not JSON: ${(error as Error).message}`);
  }
  return parseConfig(runSchema, value, path);
}

/** Whether a parameter is frozen: its path contains a pattern; or all patterns begin with "^" and none matches its start. */
export function isFrozen(path: string, patterns: readonly string[]): boolean {
  if (patterns.length === 0) return false;
  if (patterns.every((pattern) => pattern.startsWith("^")))
    return !patterns.some((pattern) => path.startsWith(pattern.slice(1)));
  return patterns.some((pattern) => path.includes(pattern));
}
