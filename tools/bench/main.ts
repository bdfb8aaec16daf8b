// npm run bench -- NAME [OPTIONS]
// Measures one benchmark and prints its median, spread and rates; without a name, lists what there is.

import { createRequire } from "node:module";
import { availableParallelism, cpus, loadavg } from "node:os";
import { parseArgs } from "node:util";
import { probeProducts } from "../../src/plan/probe.ts";
import type { SessionOptions } from "../../src/runtime/session.ts";
import { autoregressiveGeneration, autoregressiveTraining } from "./autoregressive.ts";
import type { Benchmark } from "./benchmark.ts";
import { batch } from "./decoding/batch.ts";
import { decodingComparisons } from "./decoding/comparison.ts";
import { guessing } from "./decoding/guess.ts";
import { secondQuestion, secondQuestionAtSize } from "./decoding/second-question.ts";
import { visualBlock } from "./decoding/visual-block.ts";
import { diffusionTraining } from "./diffusion.ts";
import type { Experiment, ExperimentSettings } from "./experiment.ts";
import { jobs } from "./jobs/jobs.ts";
import { type Measurement, MIN_RUNS, measure } from "./measure.ts";
import { nanoPrecision } from "./nano-precision.ts";
import { openedPage } from "./page.ts";
import { formatProfile, profile } from "./profile.ts";
import { qwen3Training } from "./qwen3.ts";
import { serveChat } from "./serving/serve-chat.ts";
import { serveImages, serveTokenize } from "./serving/serve-images.ts";
import { serveLag } from "./serving/serve-lag.ts";
import { visionTraining } from "./vision.ts";

const benchmarks: readonly Benchmark[] = [
  qwen3Training,
  autoregressiveTraining,
  visionTraining,
  diffusionTraining,
  autoregressiveGeneration,
];
const experiments: readonly Experiment[] = [
  ...decodingComparisons,
  ...guessing,
  batch,
  visualBlock,
  secondQuestion,
  secondQuestionAtSize,
  nanoPrecision,
  serveChat,
  serveImages,
  serveTokenize,
  serveLag,
  openedPage,
  jobs,
];
const names = [...benchmarks, ...experiments].map(({ name }) => name);

const DEFAULT_RUNS = 9;
/** What `convert` gives matrices as wide as those of the second group. */
const DEFAULT_BLOCK = 128;
const DEFAULT_PROCESSES = 3;
const USAGE = `npm run bench -- NAME [--json] [--threads N] [--profile] and, for the first group, [--runs N (at least ${MIN_RUNS})];
for the second, [--processes N] [--block 32|128] [--blocks-per-run N] [--plain-norms] [--no-peer] [--images N] [--small]`;

/** The command line cannot be followed: exit code 2, where a failing benchmark gives 1. */
class UsageError extends Error {}

interface Settings {
  readonly runs: number;
  readonly session: SessionOptions;
}

async function main(args: readonly string[]): Promise<void> {
  const { values, positionals } = parseCommandLine(args);
  const [name, ...others] = positionals;
  if (name === undefined || values.help) {
    const group = (all: readonly (Benchmark | Experiment)[]) =>
      all.map((one) => `  ${one.name.padEnd(31)}${one.about}`).join("\n");
    console.log([USAGE, group(benchmarks), group(experiments)].join("\n\n"));
    return;
  }
  if (!names.includes(name)) throw new UsageError(`There is no benchmark ${name}; there are ${names.join(", ")}`);
  if (others.length > 0) throw new UsageError(`One benchmark at a time, got also ${others.join(", ")}`);
  const threads = values.threads === undefined ? undefined : wholeNumber("--threads", values.threads, 1);
  const session = { ...(threads !== undefined && { threads }), ...(values["plain-norms"] && { residualNorms: false }) };
  const experiment = experiments.find((candidate) => candidate.name === name);
  if (experiment && values.profile) {
    if (!experiment.profile) throw new UsageError(`${name} has no --profile`);
    console.log(`${name}: ${formatProfile(await experiment.profile(experimentSettings(values, session)))}`);
    return;
  }
  if (experiment) {
    const result = await experiment.report(experimentSettings(values, session), (line) => console.error(line));
    print({ name, ...result }, values.json);
    return;
  }
  const benchmark = benchmarks.find((candidate) => candidate.name === name)!;
  const settings = { runs: wholeNumber("--runs", values.runs ?? `${DEFAULT_RUNS}`, MIN_RUNS), session };
  if (values.profile) {
    await printProfile(benchmark, settings);
    return;
  }
  print(await report(benchmark, settings), values.json);
}

type CommandLine = ReturnType<typeof parseCommandLine>["values"];

function experimentSettings(values: CommandLine, session: SessionOptions): ExperimentSettings {
  const block = Number(values.block ?? DEFAULT_BLOCK);
  if (block !== 32 && block !== 128) throw new UsageError(`Expected --block to be 32 or 128, got ${values.block}`);
  const perRun = values["blocks-per-run"];
  return {
    session,
    processes: wholeNumber("--processes", values.processes ?? `${DEFAULT_PROCESSES}`, 1),
    block,
    isSmall: values.small ?? false,
    hasPeer: !values["no-peer"],
    blocksPerRun: perRun === undefined ? undefined : wholeNumber("--blocks-per-run", perRun, 1),
    images: values.images === undefined ? undefined : wholeNumber("--images", values.images, 1),
  };
}

function print(result: Record<string, unknown>, asJson = false): void {
  console.log(asJson ? JSON.stringify(result) : format(result));
}

function parseCommandLine(args: readonly string[]) {
  try {
    return parseArgs({
      args: [...args],
      allowPositionals: true,
      options: {
        json: { type: "boolean" },
        help: { type: "boolean" },
        runs: { type: "string" },
        threads: { type: "string" },
        profile: { type: "boolean" },
        processes: { type: "string" },
        block: { type: "string" },
        "blocks-per-run": { type: "string" },
        "plain-norms": { type: "boolean" },
        "no-peer": { type: "boolean" },
        images: { type: "string" },
        small: { type: "boolean" },
      },
    });
  } catch (error) {
    throw new UsageError(`${(error as Error).message}\n${USAGE}`);
  }
}

function wholeNumber(option: string, text: string, least: number): number {
  const value = Number(text);
  if (!Number.isInteger(value) || value < least)
    throw new UsageError(`Expected ${option} to be an integer from ${least} on, got ${text}`);
  return value;
}

async function report(benchmark: Benchmark, { runs, session }: Settings) {
  const before = await probeProducts(session);
  const main = await measureOne(benchmark.open, runs, session);
  const variants: Record<string, Measurement> = {};
  for (const [key, open] of Object.entries(benchmark.variants ?? {}))
    variants[key] = await measureOne(open, runs, session);
  return {
    name: benchmark.name,
    ...main,
    ...variants,
    threads: session.threads ?? availableParallelism(),
    /** A plain matrix product before and after: how quiet the machine was. */
    probeGflopPerS: [before, await probeProducts(session)],
    load: loadavg()[0],
    cpu: cpus()[0]?.model,
    versions: { node: process.versions.node, onnxruntime: onnxruntimeVersion() },
  };
}

async function measureOne(open: Benchmark["open"], runs: number, session: SessionOptions): Promise<Measurement> {
  const workload = await open(session);
  try {
    return await measure(workload, runs);
  } finally {
    await workload.release();
  }
}

async function printProfile(benchmark: Benchmark, { runs, session }: Settings): Promise<void> {
  const result = await profile(runs, async (prefix) => {
    const workload = await benchmark.open({ ...session, profile: prefix });
    for (let i = 0; i < runs; i++) await workload.run();
    await workload.release();
  });
  console.log(`${benchmark.name}: ${formatProfile(result)}`);
}

function onnxruntimeVersion(): string | undefined {
  const load = createRequire(import.meta.url);
  for (const name of ["onnxruntime-node", "onnxruntime-web"]) {
    try {
      return `${name} ${(load(`${name}/package.json`) as { version: string }).version}`;
    } catch {
      // Not installed, or it hides its package.json: the next may tell.
    }
  }
  return undefined;
}

function format(result: Record<string, unknown>): string {
  const value = (item: unknown): string => {
    if (typeof item === "number") return Number.isInteger(item) ? item.toLocaleString("en-US") : item.toPrecision(4);
    if (Array.isArray(item)) return item.map(value).join(", ");
    if (typeof item === "object" && item !== null)
      return Object.entries(item)
        .map(([key, inner]) => `${key} ${value(inner)}`)
        .join(", ");
    return String(item);
  };
  return Object.entries(result)
    .map(([key, item]) => `${key.padEnd(16)}${value(item)}`)
    .join("\n");
}

try {
  await main(process.argv.slice(2));
} catch (error) {
  console.error(error instanceof UsageError ? error.message : error);
  process.exitCode = error instanceof UsageError ? 2 : 1;
}
