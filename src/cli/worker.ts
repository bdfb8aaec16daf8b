// kelix worker: takes shards from a queue until it is told to stop.

import { type Command, InvalidArgumentError } from "commander";
import { processEngine } from "../jobs/engine.ts";
import { serveMetrics } from "../jobs/metrics.ts";
import { work } from "../jobs/worker.ts";
import { version } from "../version.ts";
import type { GlobalOptions } from "./context.ts";
import { redisOption } from "./jobs.ts";
import { interrupted, report } from "./terminal.ts";

interface Options {
  readonly redis: string;
  readonly untilEmpty?: boolean;
  readonly lock: number;
  readonly metricsPort?: number;
  readonly metricsHost: string;
}

export function define(command: Command): void {
  redisOption(command)
    .option("--until-empty", "end when the queue is empty and no worker is busy")
    .option("--lock <seconds>", "a worker that is silent for so long is taken for dead", number(1, 3600), 30)
    .option("--metrics-port <port>", "serve metrics for Prometheus at /metrics", number(0, 65_535))
    .option("--metrics-host <address>", "address to serve them on", "127.0.0.1")
    .addHelpText(
      "after",
      "\nExample:\n  kelix worker --redis redis://queue.internal:6379 --threads 4 --metrics-port 9464\n" +
        "Ctrl-C or SIGTERM gives the shard back. The model is the one that each job names.",
    )
    .action(async ({ redis, untilEmpty, lock, metricsPort, metricsHost }: Options, command: Command) => {
      const { device, threads, ignoreMemory } = command.optsWithGlobals<GlobalOptions>();
      const load = {
        ...(device !== undefined && { device }),
        ...(threads !== undefined && { threads }),
        ...(ignoreMemory && { ignoreMemory }),
      };
      const metrics = metricsPort === undefined ? undefined : await serveMetrics(metricsPort, metricsHost);
      if (metrics) report(`metrics: http://${metricsHost}:${metrics.port}/metrics`);
      try {
        await work(redis, {
          engine: processEngine({ version, load }),
          lockMs: 1000 * lock,
          isUntilEmpty: untilEmpty ?? false,
          signal: interrupted.signal,
          log: report,
          ...(metrics && { onShard: metrics.count }),
        });
      } finally {
        await metrics?.close();
      }
      interrupted.signal.throwIfAborted();
    });
}

function number(from: number, to: number): (text: string) => number {
  return (text) => {
    const value = Number(text);
    if (text.trim() !== "" && value >= from && value <= to) return value;
    throw new InvalidArgumentError(`Expected a number from ${from} to ${to}.`);
  };
}
