// The training loop: batches in, updates out, with log lines, samples, checkpoints and exact resuming.
// A run's folder holds config.json, log.jsonl, loss.svg, samples/ and checkpoints/step-N/ (complete ones only).

import { appendFile, mkdir, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { openCheckpoint } from "../checkpoint/checkpoint.ts";
import { counterRandom } from "../random/counter.ts";
import type { HostTensor } from "../runtime/host-tensor.ts";
import { memoryWeights } from "../runtime/memory-weights.ts";
import { AdamW } from "./adamw.ts";
import { isFrozen, type RunConfig } from "./config.ts";
import { drawLossCurve } from "./loss-curve.ts";
import { learningRateFactor } from "./lr-schedule.ts";
import { ParameterStore } from "./parameter-store.ts";
import type { Stage } from "./stage.ts";
import { TrainGraph, traceLoss } from "./train-graph.ts";
import { latestCheckpoint, readTrainingState, writeTrainingState } from "./training-state.ts";

export interface RunOptions {
  readonly resume?: boolean;
  readonly signal?: AbortSignal;
  /** Called with each log line. */
  readonly log?: (line: string) => void;
  /** Stops after this step as if the run were cut off there; for tests and for sharing a machine. */
  readonly stopAfter?: number;
}

/** One line of log.jsonl. */
export interface LogEntry {
  readonly step: number;
  readonly loss: number;
  readonly rate: number;
  readonly gradientNorm: number;
  readonly tokensPerS: number;
  readonly [report: string]: number;
}

/** Trains one stage to its last step (or the signal); returns the log entries of this call. */
export async function train(config: RunConfig, stage: Stage, options: RunOptions = {}): Promise<LogEntry[]> {
  const log = options.log ?? (() => {});
  const store = new ParameterStore(declaredParameters(stage), {
    isFrozen: (path) => isFrozen(path, config.freeze),
    accumulates: config.accumulate > 1,
    averages: config.ema !== undefined,
  });
  await mkdir(join(config.folder, "checkpoints"), { recursive: true });
  const last = await latestCheckpoint(config.folder);
  if (last !== undefined && !options.resume) {
    throw new Error(
      `${config.folder} holds a run that has reached step ${last.step}. Add --resume to go on with it, or name another folder`,
    );
  }
  let step = 0;
  if (last) step = await readTrainingState(last.folder, store, config.steps);
  else await startFresh(config, stage, store, log);
  await writeFile(join(config.folder, "config.json"), `${JSON.stringify(config, null, 2)}\n`);

  const graphs = new Map<string, TrainGraph>();
  for (const [name, trace] of Object.entries(stage.losses)) {
    graphs.set(
      name,
      await TrainGraph.open(trace, store, config.threads === undefined ? {} : { threads: config.threads }),
    );
  }
  const reached = new Set([...graphs.values()].flatMap((graph) => [...graph.trained]));
  const { noDecay, rateFactors, ...optimizerOptions } = config.optimizer;
  const optimizer = new AdamW(
    store,
    {
      ...optimizerOptions,
      decays: (path) => !noDecay.some((part) => path.toLowerCase().includes(part)),
      rateFactor: (path) =>
        Object.entries(rateFactors).reduce((f, [part, factor]) => (path.includes(part) ? f * factor : f), 1),
    },
    (path) => reached.has(path),
  );
  log(
    `${config.stage}: ${format(countTrained(store))} trained parameters, ${format(store.sizeBytes / 1e6)} MB, step ${step} of ${config.steps}`,
  );

  const entries: LogEntry[] = [];
  let window = new Window();
  let windowStart = step;
  const save = () => writeTrainingState(config.folder, step, store);
  try {
    while (step < config.steps) {
      if (options.signal?.aborted) break;
      const region = config.accumulate > 1 ? "accumulated" : "gradients";
      if (config.accumulate > 1) store.clear("accumulated");
      for (let micro = 0; micro < config.accumulate; micro++) {
        const batch = await stage.batch(step * config.accumulate + micro);
        const graph = graphs.get(batch.loss);
        if (!graph) throw new Error(`the stage has no loss ${batch.loss}`);
        if (graphs.size > 1) graph.clearOthers();
        window.add(batch.loss, await graph.run(batch.feeds), batch.tokens);
        if (config.accumulate > 1) {
          store.kernels.blend(
            store.address("accumulated"),
            store.address("gradients"),
            store.trainedLength * 4,
            1,
            1 / config.accumulate,
          );
        }
      }
      const rate = learningRate(config, step);
      const norm = optimizer.update(step + 1, rate, region);
      if (!Number.isFinite(norm))
        throw new Error(
          `step ${step}: the gradient is not finite (loss ${window.loss()}). The last checkpoint is kept; try a lower learning rate or clipping`,
        );
      step++;
      if (config.ema !== undefined) {
        // Early on the average follows more quickly, or the random start would linger in it.
        const decay = Math.min(config.ema, (1 + step) / (10 + step));
        store.kernels.blend(
          store.address("average"),
          store.address("values"),
          store.trainedLength * 4,
          decay,
          1 - decay,
        );
      }
      if (step % config.logEvery === 0 || step === config.steps) {
        const entry = window.entry(step, rate, norm);
        const secondsPerStep = window.seconds() / (step - windowStart);
        window = new Window();
        windowStart = step;
        entries.push(entry);
        await appendFile(join(config.folder, "log.jsonl"), `${JSON.stringify(entry)}\n`);
        log(describe(entry, config.steps, secondsPerStep));
      }
      if (stage.samples && (step % config.sampleEvery === 0 || step === config.steps)) {
        const folder = join(config.folder, "samples");
        await mkdir(folder, { recursive: true });
        const numbers = await stage.samples(memoryWeights(finalTensors(store)), folder, step);
        await appendFile(join(folder, "numbers.jsonl"), `${JSON.stringify({ step, ...numbers })}\n`);
        log(
          `  samples at step ${step}: ${Object.entries(numbers)
            .map(([name, value]) => `${name} ${format(value)}`)
            .join(", ")}`,
        );
        window = new Window();
        windowStart = step;
      }
      if (step % config.checkpointEvery === 0 || step === config.steps) {
        await save();
        await drawLossCurve(config.folder);
      }
      if (step === options.stopAfter) break;
    }
    if (options.signal?.aborted) {
      await save();
      log(`stopped at step ${step}; go on with --resume`);
    }
    if (step === config.steps) await stage.finish?.(finalTensors(store), config.folder);
  } finally {
    for (const graph of graphs.values()) await graph.release();
    await stage.release?.();
  }
  return entries;
}

/** The learning rate of a step, counted from 0. */
export function learningRate(
  { learningRate: { schedule, base, min, warmup, decay }, steps }: RunConfig,
  step: number,
): number {
  return base * learningRateFactor({ name: schedule, warmup, total: steps, decay, minRate: min / base }, step);
}

function declaredParameters(stage: Stage) {
  const declared = new Map(Object.values(stage.losses).flatMap((trace) => [...traceLoss(trace).graph.parameters]));
  return [...declared.values()].sort((a, b) => (a.path < b.path ? -1 : 1));
}

async function startFresh(
  config: RunConfig,
  stage: Stage,
  store: ParameterStore,
  log: (line: string) => void,
): Promise<void> {
  store.initialize(counterRandom(config.seed, "init"));
  for (const source of config.initFrom) {
    const checkpoint = await openCheckpoint(source);
    let used = 0;
    for (const path of store.parameters.keys()) {
      if (!checkpoint.find(path)) continue;
      store.set("values", path, await checkpoint.read(path));
      used++;
    }
    await checkpoint.close();
    if (used === 0) throw new Error(`${source} has none of this stage's ${store.parameters.size} parameters`);
    log(`${source}: ${used} of ${store.parameters.size} parameters`);
  }
  await stage.prepare?.(store, log);
  if (config.ema !== undefined) {
    store.kernels.blend(store.address("average"), store.address("values"), store.trainedLength * 4, 0, 1);
  }
}

/** The weights to use: the running average where one is kept, and the frozen ones. */
function finalTensors(store: ParameterStore): Map<string, HostTensor> {
  const region = store.averages ? "average" : "values";
  return new Map(
    [...store.parameters.values()].map(({ path, isFrozen: frozen }) => [
      path,
      store.tensor(frozen ? "values" : region, path),
    ]),
  );
}

function countTrained(store: ParameterStore): number {
  return [...store.parameters.values()].reduce((n, { length, isFrozen: frozen }) => n + (frozen ? 0 : length), 0);
}

/** Averages between two log lines. */
class Window {
  readonly #sums = new Map<string, { sum: number; count: number }>();
  readonly #start = performance.now();
  #tokens = 0;

  add(loss: string, reports: Readonly<Record<string, HostTensor>>, tokens: number): void {
    this.#tokens += tokens;
    for (const [name, { data }] of Object.entries(reports)) {
      if (data.length !== 1) continue;
      for (const key of name === "loss" ? ["loss", `loss.${loss}`] : [name]) {
        const item = this.#sums.get(key) ?? { sum: 0, count: 0 };
        this.#sums.set(key, { sum: item.sum + Number(data[0]), count: item.count + 1 });
      }
    }
  }

  loss(): number {
    return this.#mean("loss");
  }

  entry(step: number, rate: number, gradientNorm: number): LogEntry {
    const reports = Object.fromEntries([...this.#sums.keys()].map((name) => [name, this.#mean(name)]));
    return { ...reports, step, loss: this.loss(), rate, gradientNorm, tokensPerS: this.#tokens / this.seconds() };
  }

  seconds(): number {
    return (performance.now() - this.#start) / 1000;
  }

  #mean(name: string): number {
    const item = this.#sums.get(name);
    return item ? item.sum / item.count : Number.NaN;
  }
}

function describe(entry: LogEntry, steps: number, secondsPerStep: number): string {
  const { step, loss, rate, gradientNorm, tokensPerS, ...reports } = entry;
  const done = step / steps;
  const details = Object.entries(reports)
    .filter(([name]) => !name.startsWith("loss."))
    .map(([name, value]) => `${name} ${format(value)}`);
  return [
    `step ${step}/${steps} (${(100 * done).toFixed(0)} %)`,
    `loss ${format(loss)}`,
    ...details,
    `lr ${rate.toExponential(1)}`,
    `|g| ${format(gradientNorm)}`,
    `${format(tokensPerS)} tokens/s`,
    `${formatTime((steps - step) * secondsPerStep)} left`,
  ].join("  ");
}

function formatTime(seconds: number): string {
  return seconds < 90 ? `${Math.round(seconds)} s` : `${(seconds / 60).toFixed(0)} min`;
}

function format(value: number): string {
  return Math.abs(value) >= 1000 ? Math.round(value).toLocaleString("en-US") : value.toPrecision(4);
}
