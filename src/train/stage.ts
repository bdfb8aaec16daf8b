// The interface of a training stage to the loop in run.ts: its losses, batches, samples and results.
// Batches are functions of the step alone, so that a resumed run continues with the same numbers.

import type { HostTensor } from "../runtime/host-tensor.ts";
import type { Values, WeightSource } from "../runtime/session.ts";
import type { OwnData } from "./data/own-data.ts";
import type { ParameterStore } from "./parameter-store.ts";
import type { TraceLoss } from "./train-graph.ts";

export interface Batch {
  /** Which of the stage's losses uses it. */
  readonly loss: string;
  readonly feeds: Values;
  /** Tokens (or patches, or latents) in it, for the rate in the log. */
  readonly tokens: number;
}

/** What a stage is opened with besides its config. */
export interface StageContext {
  readonly log?: (line: string) => void;
  readonly signal?: AbortSignal | undefined;
  /** The data that the run names. */
  readonly own?: OwnData | undefined;
}

export interface Stage {
  readonly losses: Readonly<Record<string, TraceLoss>>;
  /** Weights of frozen parameters that are not in the config's `initFrom`. */
  readonly frozen?: WeightSource;
  /** The batch of one micro-step, counted from 0 over the whole run. */
  batch(microStep: number): Promise<Batch>;
  /**
   * Sets parameters that come from neither a file nor random initialization (k-means); called once, before step 0 of a new run. `given` are
   * the paths found in `initFrom`.
   */
  prepare?(store: ParameterStore, log: (line: string) => void, given: ReadonlySet<string>): Promise<void>;
  /** Writes sample images or text into `folder`; returns numbers for the log. */
  samples?(weights: WeightSource, folder: string, step: number): Promise<Record<string, number>>;
  /** Writes the trained weights (the running average if there is one) as a checkpoint of the product. */
  finish?(tensors: ReadonlyMap<string, HostTensor>, folder: string): Promise<void>;
  release?(): Promise<void>;
}
