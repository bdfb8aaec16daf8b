// One arm of one seed, from its shared warm-up to its sealed scores. Each stage has its own run folder, so an interrupted one resumes.

import { createHash } from "node:crypto";
import { existsSync } from "node:fs";
import { readFile } from "node:fs/promises";
import { join } from "node:path";
import { gzipSync } from "node:zlib";
import { makeFolder } from "../../src/hub/make-folder.ts";
import { replaceFile, writeAll } from "../../src/output/atomic-file.ts";
import { type RunConfig, runSchema } from "../../src/train/config.ts";
import { openCheckpointAt } from "../../src/train/open-checkpoint.ts";
import { train } from "../../src/train/run.ts";
import type { Stage } from "../../src/train/stage.ts";
import { imageStage, type StageContext, startArm } from "./image-stage.ts";
import { type Arm, type ArmName, arms, type Protocol, type SuiteName, suiteNames } from "./protocol.ts";
import { Examiner, FrozenEyes, readerStage, type SuiteScore } from "./reader.ts";

export interface RunSettings {
  readonly protocol: Protocol;
  /** Runs are kept below it: FOLDER/NAME/seed-S/ARM. */
  readonly folder: string;
  /** Finished arms are written here, a small file each. */
  readonly results: string;
  readonly rate: number;
  readonly threads?: number;
  readonly signal: AbortSignal;
  readonly log: (line: string) => void;
  readonly context: (seed: number) => StageContext;
}

/** The record of a finished arm. It contains the test's scores, packed so that nobody reads them before all arms are complete. */
export interface ArmRecord {
  readonly protocol: Protocol["name"];
  readonly arm: ArmName;
  readonly seed: number;
  readonly steps: Protocol["steps"];
  readonly rate: number;
  /** SHA-256 of the warm-up's weights, equal in all arms of a seed. */
  readonly warmUp: string;
  /** Mean share of correct parts on the validation stream. */
  readonly validation: Readonly<Record<SuiteName, number>>;
  /** For the least used codebook, over the validation images: entries in use, and 2 to the entropy. */
  readonly books?: { readonly use: number; readonly perplexity: number };
  /** gzip, base64: see `unpack` in results.ts. */
  readonly sealed: string;
}

const SEALED_SUITE_DIGITS = 4;
/** Held-out drawings of known concepts. */
export const CAPTIONS = 456;

export function countOf(suite: SuiteName, items: number): number {
  return suite === "captions" ? Math.min(items, CAPTIONS) : items;
}

export const recordFile = (results: string, arm: ArmName, seed: number) =>
  join(results, `seed-${seed}-arm-${arm}.json`);

/** Trains and scores an arm unless its record exists. */
export async function runArm(name: ArmName, seed: number, settings: RunSettings): Promise<ArmRecord> {
  const { protocol, results, log } = settings;
  const file = recordFile(results, name, seed);
  if (existsSync(file)) {
    const record = JSON.parse(await readFile(file, "utf8")) as ArmRecord;
    if (JSON.stringify(record.steps) !== JSON.stringify(protocol.steps) || record.rate !== settings.rate)
      throw new Error(
        `${file} was made with other steps or another rate: move it away, or name another results folder`,
      );
    return record;
  }
  const arm = arms[name];
  const context = settings.context(seed);
  const { steps } = protocol;
  const folder = (part: string) => join(settings.folder, protocol.name, `seed-${seed}`, part);
  const stage = async (part: string, count: number, open: () => Stage | Promise<Stage>, rateFactors = {}) => {
    const config = configOf(folder(part), seed, count, settings, part, rateFactors);
    await train(config, async () => open(), {
      resume: true,
      log: (line) => log(`${part}: ${line}`),
      signal: settings.signal,
    });
    settings.signal.throwIfAborted();
    return join(config.folder, "checkpoints", `step-${count}`, "model.safetensors");
  };
  const warmUp = await stage("warm-up", steps.warmUp, () => imageStage(arms.C, context, 0));
  const branch = await stage(
    `${name}-branch`,
    steps.branch,
    () => imageStage(arm, context, steps.warmUp, startArm(arm, warmUp, protocol.kmeansImages, context)),
    arm.codes > 0 ? roundingRates : {},
  );
  const eyes = await FrozenEyes.open(arm, branch, context);
  try {
    const reader = await stage(`${name}-reader`, steps.reader, () =>
      readerStage(arm, eyes, context, steps.warmUp + steps.branch),
    );
    const record = await scoreArm(arm, seed, { reader, warmUp, eyes, context }, settings);
    await makeFolder(results);
    await replaceFile(file, (handle) =>
      writeAll(handle, new TextEncoder().encode(`${JSON.stringify(record, null, 1)}\n`)),
    );
    return record;
  } finally {
    await eyes.release();
  }
}

/**
 * Rates of the image side once it rounds, as multiples of the others'. The numbers that are rounded start at another scale than the
 * warm-up's (tokenizer-start.ts), where the full rate would move them off their codes within a few steps.
 */
const roundingRates = {
  "visual_tokenizer.visual.": 0.3,
  "visual_tokenizer.mlp_AR.": 0.3,
  "visual_tokenizer.encoder.": 0.005,
  "visual_tokenizer.quantizer.": 0.01,
};

function configOf(
  folder: string,
  seed: number,
  steps: number,
  settings: RunSettings,
  part: string,
  rateFactors: Readonly<Record<string, number>>,
): RunConfig {
  const isWarmUp = part === "warm-up";
  return runSchema.parse({
    stage: "tokenizer",
    description: `The claim, seed ${seed}, ${part}`,
    folder,
    seed,
    steps,
    // The warm-up is continued by the branches, so its rate does not decay.
    learningRate: {
      schedule: isWarmUp ? "constant" : "cosine",
      base: settings.rate,
      min: isWarmUp ? 0 : settings.rate / 20,
      warmup: Math.min(100, Math.ceil(steps / 10)),
    },
    optimizer: { betas: [0.9, 0.95], weightDecay: 0.05, clipNorm: 5, rateFactors },
    ...(settings.threads && { threads: settings.threads }),
    logEvery: 10,
    checkpointEvery: 250,
    sampleEvery: steps,
    model: {},
  });
}

interface Trained {
  readonly reader: string;
  readonly warmUp: string;
  readonly eyes: FrozenEyes;
  readonly context: StageContext;
}

async function scoreArm(
  arm: Arm,
  seed: number,
  { reader, warmUp, eyes, context }: Trained,
  { protocol, rate, log, signal }: RunSettings,
): Promise<ArmRecord> {
  const weights = await openCheckpointAt(reader);
  const examiner = await Examiner.open(arm, weights, eyes, context);
  try {
    const score = async (suite: SuiteName, stream: "validation" | "test") => {
      signal.throwIfAborted();
      return examiner.score(suite, stream, countOf(suite, protocol.items[stream]));
    };
    const validation = {} as Record<SuiteName, number>;
    const sealed: Record<string, unknown> = {};
    eyes.startCounting();
    for (const suite of suiteNames) {
      validation[suite] = meanOf((await score(suite, "validation")).shares);
      log(`${arm.name}: ${suite}: ${(100 * validation[suite]).toFixed(1)} % on validation`);
    }
    const books = eyes.countedBooks();
    for (const suite of suiteNames) sealed[suite] = packed(await score(suite, "test"));
    log(`${arm.name}: test scores are sealed`);
    return {
      protocol: protocol.name,
      arm: arm.name,
      seed,
      steps: protocol.steps,
      rate,
      warmUp: createHash("sha256")
        .update(await readFile(warmUp))
        .digest("hex"),
      validation,
      ...(books && { books }),
      sealed: gzipSync(JSON.stringify(sealed)).toString("base64"),
    };
  } finally {
    await examiner.release();
    await weights.close();
  }
}

function packed({ shares, floor }: SuiteScore): { shares: number[]; floor: number } {
  return { shares: [...shares].map((share) => Number(share.toFixed(SEALED_SUITE_DIGITS))), floor };
}

function meanOf(shares: Float32Array): number {
  return shares.reduce((sum, share) => sum + share, 0) / shares.length;
}
