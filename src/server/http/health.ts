// Liveness, readiness and metrics, with vLLM's names where vLLM has them.

import { Counter, Histogram, Registry } from "prom-client";
import type { HttpContext, Service } from "./service.ts";

export function livez(_: Service, c: HttpContext): Response {
  return c.json({ status: "ok" });
}

/** A 503 while no worker is ready and when the server is stopping. */
export function readyz({ engine }: Service, c: HttpContext): Response {
  const isReady = engine.state === "ready";
  return c.json({ status: isReady ? "ok" : engine.state }, isReady ? 200 : 503);
}

/** Metrics of the HTTP side; the engine has its own. */
export class HttpMetrics {
  readonly registry = new Registry();
  readonly #requests = new Counter({
    name: "kelix:http_requests_total",
    help: "Requests by route and status.",
    labelNames: ["route", "status"],
    registers: [this.registry],
  });
  readonly #seconds = new Histogram({
    name: "kelix:http_request_duration_seconds",
    help: "Time from a request's headers to the end of its answer.",
    labelNames: ["route"],
    buckets: [0.005, 0.02, 0.1, 0.5, 2, 10, 60, 300],
    registers: [this.registry],
  });

  count(route: string, status: number, seconds: number): void {
    this.#requests.inc({ route, status });
    this.#seconds.observe({ route }, seconds);
  }
}

export async function showMetrics({ engine }: Service, c: HttpContext, metrics: HttpMetrics): Promise<Response> {
  const all = Registry.merge([engine.registry, metrics.registry]);
  return c.body(await all.metrics(), 200, { "content-type": all.contentType });
}
