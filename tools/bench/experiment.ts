// Measurements that are more than one workload in this process: comparisons with another engine, shares of a whole.
// They make their own report.

import type { SessionOptions } from "../../src/runtime/session.ts";
import type { Profile } from "./profile.ts";

export interface ExperimentSettings {
  readonly session: SessionOptions;
  /** Processes of each engine, one at a time, in turns. */
  readonly processes: number;
  /** Consecutive weights that share a scale. */
  readonly block: 32 | 128;
  /** A toy instead of the named sizes: shows that everything runs. */
  readonly isSmall: boolean;
  /** Whether the other engine takes part. */
  readonly hasPeer: boolean;
  /** Blocks that one run of the trunk reads at most; the model's own choice if absent. */
  readonly blocksPerRun?: number | undefined;
  /** How many images are worked on; the experiment's own choice if absent. */
  readonly images?: number | undefined;
}

export interface Experiment {
  readonly name: string;
  /** One line for the list. */
  readonly about: string;
  /** Measures and returns what is to be printed; `log` takes lines about what is going on. */
  report(settings: ExperimentSettings, log: (line: string) => void): Promise<Record<string, unknown>>;
  /** Where the time of its work goes, in this process. */
  profile?(settings: ExperimentSettings): Promise<Profile>;
}
