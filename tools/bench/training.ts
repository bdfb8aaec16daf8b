// A training step as a workload: forward, loss, backward and AdamW over parameters drawn from a fixed seed, on one batch
// that is fed again and again. Each step overwrites the gradients of the one before.

import { counterRandom } from "../../src/random/counter.ts";
import type { SessionOptions, Values } from "../../src/runtime/session.ts";
import { countFlop } from "../../src/tensor/products.ts";
import { AdamW } from "../../src/train/adamw.ts";
import { gradients } from "../../src/train/autodiff/gradients.ts";
import { ParameterStore } from "../../src/train/parameter-store.ts";
import { type TraceLoss, TrainGraph, traceLoss } from "../../src/train/train-graph.ts";
import type { Workload } from "./benchmark.ts";

const RATE = 1e-4;
const OPTIMIZER = { betas: [0.9, 0.95], eps: 1e-8, weightDecay: 0.01 } as const;

export interface TrainingWork {
  readonly trace: TraceLoss;
  readonly feeds: Values;
  readonly units: Readonly<Record<string, number>>;
}

export async function openTraining({ trace, feeds, units }: TrainingWork, options: SessionOptions): Promise<Workload> {
  const { graph, traced } = traceLoss(trace);
  const parameters = [...graph.parameters.values()];
  gradients(
    traced.loss,
    parameters.map(({ tensor }) => tensor),
  );
  const store = new ParameterStore(parameters);
  store.initialize(counterRandom(0, "init"));
  const train = await TrainGraph.open(trace, store, options);
  const optimizer = new AdamW(store, OPTIMIZER, (path) => train.trained.has(path));
  let step = 0;
  return {
    async run() {
      const { loss } = await train.run(feeds);
      step++;
      optimizer.update(step, RATE);
      if (!Number.isFinite(loss?.data[0])) throw new Error(`step ${step}: the loss is ${loss?.data[0]}`);
    },
    units,
    flop: countFlop(graph),
    facts: { parameters: parameters.reduce((sum, { shape }) => sum + shape.reduce((a, b) => a * b, 1), 0) },
    release: () => train.release(),
  };
}
