// What a simulated run cost, as Markdown tables for docs/scale.md.

import type { Measured, RedisCost, TaskCost } from "./measure.ts";
import type { Outcome, QueueModel } from "./queue-model.ts";

export interface Scenario {
  readonly model: string;
  readonly task: string;
  readonly images: number;
  readonly imagesPerShard: number;
  readonly cost: TaskCost;
  readonly queue: QueueModel;
  readonly outcome: Outcome;
}

export interface Traffic {
  readonly commands: number;
  readonly bytes: number;
  /** The share of one core that Redis is busy. */
  readonly load: number;
  /** Redis's memory before the first shard is done. */
  readonly memoryBytes: number;
}

/** What a run asks of Redis: its attempts, and its workers while they live. */
export function trafficOf({ queue, outcome }: Pick<Scenario, "queue" | "outcome">, measured: Measured): Traffic {
  const { perShard, perWorkerSecond, redisBytesPerShard } = measured;
  const sum = (key: keyof RedisCost) =>
    outcome.attempts * perShard[key] + queue.workers * outcome.seconds * perWorkerSecond[key];
  return {
    commands: sum("commands"),
    bytes: sum("bytesIn") + sum("bytesOut"),
    load: sum("cpuSeconds") / outcome.seconds,
    memoryBytes: queue.shards * redisBytesPerShard,
  };
}

/** Bytes of outputs and manifests. */
export function storageOf({ images, cost, queue }: Scenario, { manifestBytes }: Measured): number {
  return images * cost.bytesPerImage + queue.shards * manifestBytes;
}

export function formatScenarios(scenarios: readonly Scenario[], measured: Measured): string {
  const head = [
    "model, task",
    "images",
    "shards",
    "workers",
    "time",
    "of ideal",
    "lost",
    "output",
    "commands",
    "traffic",
    "Redis",
  ];
  const rows = scenarios.map((scenario) => {
    const { model, task, images, queue, outcome } = scenario;
    const traffic = trafficOf(scenario, measured);
    const ideal = (queue.shards * queue.shardSeconds) / queue.workers;
    return [
      `${model}, ${task}`,
      power(images),
      queue.shards.toLocaleString("en-US"),
      queue.workers.toLocaleString("en-US"),
      duration(outcome.seconds),
      `${(outcome.seconds / ideal).toFixed(2)} x`,
      percent(outcome.wasted / (outcome.wasted + outcome.worked)),
      bytes(storageOf(scenario, measured)),
      count(traffic.commands),
      bytes(traffic.bytes),
      `${percent(traffic.load)}, ${bytes(traffic.memoryBytes)}`,
    ];
  });
  return [head, head.map(() => "---"), ...rows].map((cells) => `| ${cells.join(" | ")} |`).join("\n");
}

function power(value: number): string {
  return `10^${Math.log10(value)}`;
}

function duration(seconds: number): string {
  if (seconds < 120) return `${seconds.toFixed(0)} s`;
  if (seconds < 2 * 3600) return `${(seconds / 60).toFixed(0)} min`;
  if (seconds < 48 * 3600) return `${(seconds / 3600).toFixed(1)} h`;
  const days = seconds / 86_400;
  return days < 730
    ? `${days.toFixed(days < 10 ? 1 : 0)} days`
    : `${Math.round(days / 365).toLocaleString("en-US")} years`;
}

function bytes(value: number): string {
  const units = ["B", "kB", "MB", "GB", "TB", "PB"];
  const unit = Math.min(units.length - 1, Math.max(0, Math.floor(Math.log10(Math.max(1, value)) / 3)));
  return `${Number((value / 1000 ** unit).toPrecision(2))} ${units[unit]}`;
}

function count(value: number): string {
  const units = ["", " thousand", " million", " billion", " trillion"];
  const unit = Math.min(units.length - 1, Math.floor(Math.log10(Math.max(1, value)) / 3));
  return `${Number((value / 1000 ** unit).toPrecision(2))}${units[unit]}`;
}

function percent(share: number): string {
  return `${(100 * share).toFixed(share < 0.1 ? 1 : 0)} %`;
}
