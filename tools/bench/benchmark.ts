// What a benchmark is: a named piece of work of fixed size, opened once and then run several times.
// main.ts measures them; the files beside this one define them with the models that the rest of the project uses.

import type { SessionOptions } from "../../src/runtime/session.ts";

export interface Benchmark {
  readonly name: string;
  /** One line for the list. */
  readonly about: string;
  open(options: SessionOptions): Promise<Workload>;
  /** Other forms of the same work, measured after it and reported under their own keys. */
  readonly variants?: Readonly<Record<string, (options: SessionOptions) => Promise<Workload>>>;
}

export interface Workload {
  /** The work that is timed. */
  run(): Promise<void>;
  /** What one run gets through, by unit: { tokens: 512 }. */
  readonly units: Readonly<Record<string, number>>;
  /** Facts to report beside the times. */
  readonly facts?: Readonly<Record<string, number>>;
  /** Operations of the matrix products and convolutions of one run, where they are counted. */
  readonly flop?: number;
  release(): Promise<void>;
}
