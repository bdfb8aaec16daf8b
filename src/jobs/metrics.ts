// A worker's counts for Prometheus at GET /metrics, and GET /healthz for supervisors that restart what does not answer.

import { createServer } from "node:http";
import type { AddressInfo } from "node:net";
import { KelixError } from "../errors.ts";
import type { Shard, ShardReport } from "./shard.ts";

export interface WorkerMetrics {
  readonly port: number;
  /** Counts an attempt, which failed if there is no report. */
  count(shard: Shard, seconds: number, report: ShardReport | undefined): void;
  close(): Promise<void>;
}

/** Serves metrics on a port; 0 takes a free one. Throws a KelixError if the port is not available. */
export async function serveMetrics(port: number, host: string): Promise<WorkerMetrics> {
  const { Registry, Counter, Histogram, collectDefaultMetrics } = await import("prom-client");
  const registry = new Registry();
  const common = { registers: [registry] };
  collectDefaultMetrics({ register: registry });
  const shards = new Counter({
    ...common,
    name: "kelix_shards_total",
    help: "Attempts at shards, by how they ended: done, skipped or failed",
    labelNames: ["task", "result"],
  });
  const images = new Counter({
    ...common,
    name: "kelix_images_total",
    help: "Images of shards that were done, good or bad",
    labelNames: ["task", "result"],
  });
  const seconds = new Histogram({
    ...common,
    name: "kelix_shard_seconds",
    help: "Time that an attempt took",
    labelNames: ["task"],
    buckets: [0.1, 1, 10, 60, 300, 900, 1800, 3600, 7200, 14_400],
  });
  const server = createServer(async (request, response) => {
    const path = request.url?.replace(/\?.*$/, "");
    if (request.method === "GET" && path === "/metrics") {
      response.setHeader("Content-Type", registry.contentType).end(await registry.metrics());
    } else if (request.method === "GET" && path === "/healthz") response.end("ok\n");
    else response.writeHead(404).end();
  });
  await new Promise<void>((resolve, reject) => {
    server.once("error", (cause: NodeJS.ErrnoException) => {
      reject(
        new KelixError(`Metrics cannot be served on ${host}:${port}: ${cause.code ?? "no reason given"}`, { cause }),
      );
    });
    server.listen(port, host, resolve);
  });
  return {
    port: (server.address() as AddressInfo).port,
    count({ task }, took, report) {
      shards.inc({ task, result: report ? (report.isSkipped ? "skipped" : "done") : "failed" });
      seconds.observe({ task }, took);
      if (!report || report.isSkipped) return;
      images.inc({ task, result: "good" }, report.done);
      images.inc({ task, result: "bad" }, report.bad);
    },
    close: () =>
      new Promise((resolve) => {
        server.close(() => resolve());
        server.closeAllConnections();
      }),
  };
}
