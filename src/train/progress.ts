// Progress of a run: means over the steps between two log lines, and the line as text.

import type { HostTensor } from "../runtime/host-tensor.ts";

/** One line of log.jsonl. */
export interface LogEntry {
  readonly step: number;
  readonly loss: number;
  readonly rate: number;
  readonly gradientNorm: number;
  readonly tokensPerS: number;
  readonly [report: string]: number;
}

/** Averages between two log lines. */
export class LogWindow {
  readonly #sums = new Map<string, { sum: number; count: number }>();
  readonly #start = performance.now();
  #tokens = 0;

  add(loss: string, reports: Readonly<Record<string, HostTensor>>, tokens: number): void {
    this.#tokens += tokens;
    for (const [name, { data }] of Object.entries(reports)) {
      if (data.length !== 1) continue;
      if (name !== "loss" && Number.isNaN(Number(data[0]))) continue; // the batch had nothing of that kind
      for (const key of name === "loss" ? ["loss", `loss.${loss}`] : [name]) {
        const item = this.#sums.get(key) ?? { sum: 0, count: 0 };
        this.#sums.set(key, { sum: item.sum + Number(data[0]), count: item.count + 1 });
      }
    }
  }

  entry(step: number, rate: number, gradientNorm: number): LogEntry {
    const reports = Object.fromEntries([...this.#sums.keys()].map((name) => [name, this.#mean(name)]));
    return {
      ...reports,
      step,
      loss: this.#mean("loss"),
      rate,
      gradientNorm,
      tokensPerS: this.#tokens / this.seconds(),
    };
  }

  seconds(): number {
    return (performance.now() - this.#start) / 1000;
  }

  #mean(name: string): number {
    const item = this.#sums.get(name);
    return item ? item.sum / item.count : Number.NaN;
  }
}

export function describeEntry(entry: LogEntry, steps: number, secondsPerStep: number): string {
  const { step, loss, rate, gradientNorm, tokensPerS, ...reports } = entry;
  const done = step / steps;
  const details = Object.entries(reports)
    .filter(([name]) => !name.startsWith("loss."))
    .map(([name, value]) => `${name} ${formatNumber(value)}`);
  return [
    `step ${step}/${steps} (${(100 * done).toFixed(0)} %)`,
    `loss ${formatNumber(loss)}`,
    ...details,
    `lr ${rate.toExponential(1)}`,
    `|g| ${formatNumber(gradientNorm)}`,
    `${formatNumber(tokensPerS)} tokens/s`,
    `${formatTime((steps - step) * secondsPerStep)} left`,
  ].join("  ");
}

function formatTime(seconds: number): string {
  return seconds < 90 ? `${Math.round(seconds)} s` : `${(seconds / 60).toFixed(0)} min`;
}

export function formatNumber(value: number): string {
  return Math.abs(value) >= 1000 ? Math.round(value).toLocaleString("en-US") : value.toPrecision(4);
}
