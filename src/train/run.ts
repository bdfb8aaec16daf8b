// The training loop: batches in, updates out, with log lines, samples, checkpoints and exact resuming.

import type { Checkpoint } from "../checkpoint/checkpoint.ts";
import { InputError, ModelError } from "../errors.ts";
import { makeFolder } from "../hub/make-folder.ts";
import { whileWriting } from "../output/while-writing.ts";
import { counterRandom } from "../random/counter.ts";
import type { WeightSource } from "../runtime/session.ts";
import type { Parameter } from "../tensor/graph.ts";
import type { RunConfig } from "./config.ts";
import { createStore, declaredParameters, finalTensors, finalWeights, Learner, startAverage } from "./learner.ts";
import { openCheckpointAt } from "./open-checkpoint.ts";
import type { ParameterStore } from "./parameter-store.ts";
import { describeEntry, formatNumber, type LogEntry, LogWindow } from "./progress.ts";
import { type OpenRunOptions, RunFolder } from "./run-folder.ts";
import type { Stage } from "./stage.ts";

export { learningRate } from "./learner.ts";
export type { LogEntry } from "./progress.ts";

export interface RunOptions extends OpenRunOptions {
  /** Stops after this step as if interrupted; for tests and for sharing a machine. */
  readonly stopAfter?: number;
}

/**
 * Trains one stage to its last step (or the signal); returns the log entries of this call. A stage that takes long to open may be
 * given as a function, which is called after the run's folder has been checked.
 */
export async function train(
  config: RunConfig,
  stage: Stage | (() => Promise<Stage>),
  options: RunOptions = {},
): Promise<LogEntry[]> {
  const run = await RunFolder.open(config, options);
  try {
    options.log?.(
      run.last
        ? `${config.folder}: ${config.stage} resuming from step ${run.last.step} of ${config.steps}`
        : `${config.folder}: ${config.stage}, a new run of ${config.steps} steps`,
    );
    if (!run.last) await checkSources(config);
    const opened = typeof stage === "function" ? await stage() : stage;
    const sources: Checkpoint[] = [];
    try {
      return await trainIn(run, config, opened, sources, options);
    } finally {
      for (const source of sources) await source.close();
      await opened.release?.();
    }
  } finally {
    await run.close();
  }
}

/** `sources` keeps the checkpoints of frozen weights open during training. */
async function trainIn(
  run: RunFolder,
  config: RunConfig,
  stage: Stage,
  sources: Checkpoint[],
  options: RunOptions,
): Promise<LogEntry[]> {
  const { log = () => {}, signal } = options;
  const declared = declaredParameters(stage);
  const store = createStore(config, declared);
  const frozenPaths = declared.map(({ path }) => path).filter((path) => !store.parameters.has(path));
  if (frozenPaths.length > 0) for (const source of config.initFrom) sources.push(await openCheckpointAt(source));
  const frozen = layered(stage.frozen, sources);
  const absent = frozenPaths.find((path) => !frozen.find(path));
  if (absent !== undefined)
    throw new InputError(`${absent} does not train, and no checkpoint has it: name one in initFrom, or train it`);
  if (!run.last) await startFresh(config, stage, declared, store, log);
  let step = await run.restore(store);
  signal?.throwIfAborted();
  await run.begin(step);
  const learner = await Learner.open(config, stage, store, frozen, log, signal);
  log(`${formatNumber(countTrained(store))} trained parameters, ${formatNumber(store.sizeBytes / 1e6)} MB`);
  let saved = run.last ? step : -1;
  const save = async () => {
    if (saved !== step) await run.save(step, store);
    saved = step;
  };
  const entries: LogEntry[] = [];
  try {
    let window = new LogWindow();
    let windowStart = step;
    while (step < config.steps && !signal?.aborted) {
      run.lost.throwIfAborted();
      const { rate, norm } = await learner.learn(step, (batch, reports) => {
        window.add(batch.loss, reports, batch.tokens);
      });
      step++;
      const isLast = step === config.steps;
      if (step % config.logEvery === 0 || isLast) {
        const entry = window.entry(step, rate, norm);
        log(describeEntry(entry, config.steps, window.seconds() / (step - windowStart)));
        entries.push(entry);
        await run.log(entry);
        window = new LogWindow();
        windowStart = step;
      }
      if (stage.samples && (step % config.sampleEvery === 0 || isLast)) {
        // Save before sampling: samples take longer and may fail, and training does not depend on them.
        await makeSamples(run, stage, finalWeights(store, frozen), step, log).catch(async (error: unknown) => {
          await save();
          throw error;
        });
        if (!isLast) await run.report();
        window = new LogWindow();
        windowStart = step;
      }
      if (step % config.checkpointEvery === 0 || isLast) await save();
      if (step === options.stopAfter) break;
    }
    if (signal?.aborted) {
      await save();
      log(`stopped at step ${step}; continue with --resume`);
    }
    await run.report();
    if (step === config.steps) await stage.finish?.(finalTensors(store), config.folder);
  } finally {
    await learner.release();
  }
  return entries;
}

async function makeSamples(
  run: RunFolder,
  stage: Stage,
  weights: WeightSource,
  step: number,
  log: (line: string) => void,
): Promise<void> {
  log(`step ${step}: making samples`);
  const folder = run.samplesFolder;
  const numbers = await whileWriting(folder, async () => {
    await makeFolder(folder);
    return stage.samples!(weights, folder, step);
  });
  await run.logNumbers({ step, ...numbers });
  const words = Object.entries(numbers).map(([name, value]) => `${name} ${formatNumber(value)}`);
  log(`samples at step ${step}: ${words.join(", ")}`);
}

/** Later sources override earlier ones. */
function layered(under: WeightSource | undefined, sources: readonly WeightSource[]): WeightSource {
  const layers = [...(under ? [under] : []), ...sources].reverse();
  return {
    find: (path) => {
      for (const layer of layers) {
        const found = layer.find(path);
        if (found) return found;
      }
      return undefined;
    },
  };
}

/** Checks that a new run's initial weights exist, before a stage works for minutes. */
async function checkSources({ initFrom }: RunConfig): Promise<void> {
  for (const source of initFrom) await (await openCheckpointAt(source)).close();
}

async function startFresh(
  config: RunConfig,
  stage: Stage,
  declared: readonly Parameter[],
  store: ParameterStore,
  log: (line: string) => void,
): Promise<void> {
  store.initialize(counterRandom(config.seed, "init"));
  const given = new Set<string>();
  for (const source of config.initFrom) {
    const checkpoint = await openCheckpointAt(source);
    let used = 0;
    try {
      for (const { path } of declared) {
        if (!checkpoint.find(path)) continue;
        if (store.parameters.has(path)) store.set("values", path, await checkpoint.read(path));
        given.add(path);
        used++;
      }
    } catch (cause) {
      throw new ModelError(`${source}: ${(cause as Error).message}`, { cause });
    } finally {
      await checkpoint.close();
    }
    if (used === 0) throw new InputError(`${source} has none of this stage's ${declared.length} parameters`);
    log(`${source}: ${used} of ${declared.length} parameters`);
  }
  const fresh = [...store.parameters.keys()].filter((path) => !given.has(path));
  if (given.size > 0 && fresh.length > 0) log(`in no source, so new: ${describePaths(fresh)}`);
  await stage.prepare?.(store, log, given);
  startAverage(store);
}

/** Counted by the first two names of each path: "visual_tokenizer.visual (75), head (2)". */
function describePaths(paths: readonly string[]): string {
  const counts = new Map<string, number>();
  for (const path of paths) {
    const part = path.split(".").slice(0, 2).join(".");
    counts.set(part, (counts.get(part) ?? 0) + 1);
  }
  return [...counts].map(([part, count]) => `${part} (${count})`).join(", ");
}

function countTrained(store: ParameterStore): number {
  return [...store.parameters.values()].reduce((n, { length }) => n + length, 0);
}
