// A traced loss, ready to train: one session for forward and backward, whose trained parameters and gradients are views into
// the parameter store; other parameters are weights. A run leaves the gradients in the store for the optimizer.

import type { HostTensor } from "../runtime/host-tensor.ts";
import type { Session, SessionOptions, Values, WeightSource } from "../runtime/session.ts";
import { Graph } from "../tensor/graph.ts";
import type { Tensor } from "../tensor/tensor.ts";
import { gradients } from "./autodiff/gradients.ts";
import type { ParameterStore } from "./parameter-store.ts";
import { openTrainingSession } from "./training-session.ts";

/** The result of tracing a training step: the scalar to minimise, and scalars or tensors to report. */
export interface TracedLoss {
  readonly loss: Tensor;
  readonly reports?: Readonly<Record<string, Tensor>>;
}

export type TraceLoss = (graph: Graph) => TracedLoss;

const GRADIENT = "grad.";

/** Declares a loss's parameters without running anything. */
export function traceLoss(trace: TraceLoss): { graph: Graph; traced: TracedLoss } {
  const graph = new Graph();
  return { graph, traced: trace(graph) };
}

export class TrainGraph {
  /** Paths that receive a gradient from this loss. */
  readonly trained: ReadonlySet<string>;
  readonly #session: Session;
  readonly #store: ParameterStore;
  readonly #parameters: Values;
  readonly #targets: Values;
  readonly #reports: readonly string[];

  private constructor(
    session: Session,
    store: ParameterStore,
    used: readonly string[],
    trained: readonly string[],
    reports: readonly string[],
  ) {
    this.#session = session;
    this.#store = store;
    this.trained = new Set(trained);
    this.#reports = reports;
    this.#parameters = Object.fromEntries(used.map((path) => [path, store.tensor("values", path)]));
    this.#targets = Object.fromEntries(trained.map((path) => [GRADIENT + path, store.tensor("gradients", path)]));
  }

  /** Builds the session for a traced loss over the parameters of `store`; any other parameter must be in `frozen`, or it throws and names it. */
  static async open(
    trace: TraceLoss,
    store: ParameterStore,
    options: SessionOptions = {},
    frozen: WeightSource = { find: () => undefined },
  ): Promise<TrainGraph> {
    const { graph, traced } = traceLoss(trace);
    const isTrained = (path: string) => store.parameters.has(path);
    const open = [...graph.parameters.values()].filter(({ path }) => isTrained(path));
    const slopes = gradients(
      traced.loss,
      open.map(({ tensor }) => tensor),
    );
    const trained: string[] = [];
    graph.output("loss", traced.loss);
    for (const [name, tensor] of Object.entries(traced.reports ?? {})) graph.output(name, tensor);
    open.forEach(({ path }, i) => {
      const slope = slopes[i];
      if (!slope) return;
      trained.push(path);
      graph.output(GRADIENT + path, slope);
    });
    const reports = ["loss", ...Object.keys(traced.reports ?? {})];
    // The trace's other outputs are for inspection: a training step does not compute them.
    const outputs = [...reports, ...trained.map((path) => GRADIENT + path)];
    const session = await openTrainingSession(graph, { ...options, outputs }, { isTrained, frozen });
    const used = open.map(({ path }) => path);
    return new TrainGraph(session, store, used, trained, reports);
  }

  /** Forward and backward: the gradients replace those in the store; returns the loss and the reports. */
  async run(feeds: Values): Promise<Record<string, HostTensor>> {
    const reports = Object.fromEntries(this.#reports.map((name) => [name, null]));
    const results = await this.#session.run({ ...this.#parameters, ...feeds }, { ...reports, ...this.#targets });
    return Object.fromEntries(this.#reports.map((name) => [name, results[name] as HostTensor]));
  }

  /** Zeroes the gradients of parameters that this loss does not reach (another loss may have left some). */
  clearOthers(): void {
    for (const path of this.#store.parameters.keys()) {
      if (!this.trained.has(path)) this.#store.view("gradients", path).fill(0);
    }
  }

  release(): Promise<void> {
    return this.#session.release();
  }
}
