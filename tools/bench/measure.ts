// Times a workload: a few runs to warm up, then the runs that count. Medians, with the spread beside them.

import type { Workload } from "./benchmark.ts";

export interface Timing {
  readonly medianS: number;
  readonly minS: number;
  readonly maxS: number;
  readonly runs: number;
}

export type Measurement = Timing & Readonly<Record<string, number>>;

/** Fewer runs say nothing on a machine that does other things as well. */
export const MIN_RUNS = 5;
/** The first runs fill caches, and ONNX Runtime plans its memory in them. */
const WARM_UP_RUNS = 2;

/** Runs the workload `runs` times and derives its rates from the median. */
export async function measure(workload: Workload, runs: number): Promise<Measurement> {
  for (let i = 0; i < WARM_UP_RUNS; i++) await workload.run();
  const seconds: number[] = [];
  for (let i = 0; i < runs; i++) {
    const start = performance.now();
    await workload.run();
    seconds.push((performance.now() - start) / 1000);
  }
  const timing = summarize(seconds);
  const rates = Object.entries(workload.units).map(([unit, amount]) => [`${unit}PerS`, amount / timing.medianS]);
  const gflops =
    workload.flop === undefined ? {} : { gflop: workload.flop / 1e9, gflopPerS: workload.flop / 1e9 / timing.medianS };
  return { ...timing, ...Object.fromEntries(rates), ...gflops, ...workload.facts };
}

/** Median (the mean of the middle two for an even number), smallest and largest. */
export function summarize(seconds: readonly number[]): Timing {
  if (seconds.length === 0) throw new Error("summarize: no times to take a median of");
  const sorted = [...seconds].sort((a, b) => a - b);
  const middle = sorted.length / 2;
  const medianS = (sorted[Math.ceil(middle) - 1]! + sorted[Math.floor(middle)]!) / 2;
  return { medianS, minS: sorted[0]!, maxS: sorted.at(-1)!, runs: sorted.length };
}
