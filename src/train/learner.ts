// The learner: the parameters of a stage's losses, the sessions that compute gradients, and the optimizer. It does not touch files.

import { InputError, KelixError, quote } from "../errors.ts";
import type { HostTensor } from "../runtime/host-tensor.ts";
import { memoryWeights } from "../runtime/memory-weights.ts";
import type { WeightSource } from "../runtime/session.ts";
import type { Parameter } from "../tensor/graph.ts";
import { AdamW } from "./adamw.ts";
import { isTrained, type RunConfig } from "./config.ts";
import { learningRateFactor } from "./lr-schedule.ts";
import { ParameterStore } from "./parameter-store.ts";
import type { Batch, Stage } from "./stage.ts";
import { TrainGraph, traceLoss } from "./train-graph.ts";

/** What an update reports about one of its batches. */
export type OnBatch = (batch: Batch, reports: Readonly<Record<string, HostTensor>>) => void;

/** All parameters that the losses declare, sorted by path. */
export function declaredParameters(stage: Stage): Parameter[] {
  const declared = new Map(Object.values(stage.losses).flatMap((trace) => [...traceLoss(trace).graph.parameters]));
  return [...declared.values()].sort((a, b) => (a.path < b.path ? -1 : 1));
}

/** Memory for the parameters that train, without values yet. Throws an InputError if none do. */
export function createStore(config: RunConfig, declared: readonly Parameter[]): ParameterStore {
  const trained = declared.filter(({ path }) => isTrained(path, config.train));
  if (trained.length === 0)
    throw new InputError(
      `train: no parameter's path matches ${config.train.map((pattern) => quote(pattern)).join(", ")}`,
    );
  return new ParameterStore(trained, { accumulates: config.accumulate > 1, averages: config.ema !== undefined });
}

export class Learner {
  readonly #config: RunConfig;
  readonly #stage: Stage;
  readonly #store: ParameterStore;
  readonly #graphs: ReadonlyMap<string, TrainGraph>;
  readonly #optimizer: AdamW;

  private constructor(
    config: RunConfig,
    stage: Stage,
    store: ParameterStore,
    graphs: ReadonlyMap<string, TrainGraph>,
    optimizer: AdamW,
  ) {
    this.#config = config;
    this.#stage = stage;
    this.#store = store;
    this.#graphs = graphs;
    this.#optimizer = optimizer;
  }

  /** Traces every loss and opens its session, which may take a minute each. `frozen` has the frozen weights. */
  static async open(
    config: RunConfig,
    stage: Stage,
    store: ParameterStore,
    frozen: WeightSource,
    log: (line: string) => void,
    signal?: AbortSignal,
  ): Promise<Learner> {
    const graphs = new Map<string, TrainGraph>();
    try {
      for (const [name, trace] of Object.entries(stage.losses)) {
        signal?.throwIfAborted();
        log(`tracing the loss ${name}, ${graphs.size + 1} of ${Object.keys(stage.losses).length}`);
        const options = config.threads === undefined ? {} : { threads: config.threads };
        graphs.set(name, await TrainGraph.open(trace, store, options, frozen));
      }
    } catch (error) {
      for (const graph of graphs.values()) await graph.release();
      throw error;
    }
    return new Learner(config, stage, store, graphs, createOptimizer(config, store, graphs));
  }

  /** Performs update `step`, counted from 0; returns the learning rate and the gradient's norm. */
  async learn(step: number, onBatch: OnBatch): Promise<{ readonly rate: number; readonly norm: number }> {
    const { accumulate } = this.#config;
    if (accumulate > 1) this.#store.clear("accumulated");
    for (let micro = 0; micro < accumulate; micro++) {
      const batch = await this.#stage.batch(step * accumulate + micro);
      const graph = this.#graphs.get(batch.loss);
      if (!graph) throw new Error(`the stage has no loss ${batch.loss}`);
      if (this.#graphs.size > 1) graph.clearOthers();
      onBatch(batch, await compute(graph, batch));
      if (accumulate > 1) this.#blend("accumulated", "gradients", 1, 1 / accumulate);
    }
    const rate = learningRate(this.#config, step);
    const norm = this.#optimizer.update(step + 1, rate, accumulate > 1 ? "accumulated" : "gradients");
    if (!Number.isFinite(norm))
      throw new InputError(
        `step ${step}: the gradient is not finite. The last checkpoint is kept; resume it with a lower learning rate or clipping`,
      );
    this.#follow(step + 1);
    return { rate, norm };
  }

  /** Updates the running average. It follows faster at first, or the random start would linger in it. */
  #follow(step: number): void {
    if (this.#config.ema === undefined) return;
    const decay = Math.min(this.#config.ema, (1 + step) / (10 + step));
    this.#blend("average", "values", decay, 1 - decay);
  }

  #blend(to: "accumulated" | "average", from: "gradients" | "values", keep: number, add: number): void {
    blend(this.#store, to, from, keep, add);
  }

  async release(): Promise<void> {
    for (const graph of this.#graphs.values()) await graph.release();
  }
}

/** The engine's own message would not help a user. */
async function compute(graph: TrainGraph, { loss, feeds }: Batch): Promise<Readonly<Record<string, HostTensor>>> {
  try {
    return await graph.run(feeds);
  } catch (cause) {
    if (cause instanceof KelixError) throw cause;
    throw new KelixError(
      `the loss ${loss} cannot be computed. If memory is short, use a smaller batch and raise accumulate`,
      { cause },
    );
  }
}

/** The running average starts as the values. */
export function startAverage(store: ParameterStore): void {
  if (store.averages) blend(store, "average", "values", 0, 1);
}

/** to = keep * to + add * from, over all trained parameters */
function blend(
  store: ParameterStore,
  to: "accumulated" | "average",
  from: "gradients" | "values",
  keep: number,
  add: number,
): void {
  store.kernels.blend(store.address(to), store.address(from), store.trainedLength * 4, keep, add);
}

function createOptimizer(config: RunConfig, store: ParameterStore, graphs: ReadonlyMap<string, TrainGraph>): AdamW {
  const reached = new Set([...graphs.values()].flatMap((graph) => [...graph.trained]));
  const { noDecay, rateFactors, ...options } = config.optimizer;
  const decays = (path: string) => !noDecay.some((part) => path.toLowerCase().includes(part));
  const rateFactor = (path: string) =>
    Object.entries(rateFactors).reduce((f, [part, factor]) => (path.includes(part) ? f * factor : f), 1);
  return new AdamW(store, { ...options, decays, rateFactor }, (path) => reached.has(path));
}

/** The learning rate at a step, counted from 0. */
export function learningRate(
  { learningRate: { schedule, base, min, warmup, decay }, steps }: RunConfig,
  step: number,
): number {
  return base * learningRateFactor({ name: schedule, warmup, total: steps, decay, minRate: min / base }, step);
}

/** The trained weights to use: the running average if one is kept. */
export function finalTensors(store: ParameterStore): Map<string, HostTensor> {
  const region = store.averages ? "average" : "values";
  return new Map([...store.parameters.keys()].map((path) => [path, store.tensor(region, path)]));
}

/** Trained weights, overlaid on the frozen ones. */
export function finalWeights(store: ParameterStore, frozen: WeightSource): WeightSource {
  const trained = memoryWeights(finalTensors(store));
  return { find: (path) => trained.find(path) ?? frozen.find(path) };
}
