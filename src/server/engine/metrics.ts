// The engine's numbers, named after vLLM's with `kelix:` in place of `vllm:`: its dashboards need one replacement.

import { Counter, Gauge, Histogram, Registry } from "prom-client";
import type { Usage } from "../../index.ts";
import type { EngineEvent, RequestKind } from "../protocol.ts";

export interface Gauges {
  running(): number;
  waiting(): number;
  readyWorkers(): number;
}

const FIRST_TOKEN_SECONDS = [0.001, 0.005, 0.01, 0.02, 0.04, 0.08, 0.16, 0.32, 0.64, 1.28, 2.5, 5, 10, 20, 40, 80, 160];
const TOKEN_SECONDS = [0.0005, 0.001, 0.002, 0.004, 0.008, 0.016, 0.032, 0.064, 0.128, 0.256, 0.5, 1, 2.5, 5];
const WHOLE_SECONDS = [0.01, 0.03, 0.1, 0.3, 0.5, 0.8, 1, 1.5, 2, 2.5, 5, 10, 15, 20, 30, 40, 60, 120, 240, 480, 960];

export class Metrics {
  readonly registry = new Registry();
  readonly #promptTokens = this.#counter("prompt_tokens_total", "Positions of prompts that were answered.");
  readonly #generatedTokens = this.#counter("generation_tokens_total", "Positions that were written.");
  readonly #queries = this.#counter("prefix_cache_queries_total", "Positions of prompts looked up in the KV cache.");
  readonly #hits = this.#counter("prefix_cache_hits_total", "Positions of prompts that the KV cache held.");
  readonly #images = this.#counter("images_generated_total", "Images that were drawn.");
  readonly #succeeded = this.#counter("request_success_total", "Requests that were answered.", ["finished_reason"]);
  readonly #failed = this.#counter("request_failure_total", "Requests that were not answered.", ["code"]);
  readonly #deaths = this.#counter("worker_deaths_total", "Worker threads that ended unasked.");
  readonly #firstToken = this.#histogram(
    "time_to_first_token_seconds",
    "From a chat's arrival to its first text.",
    FIRST_TOKEN_SECONDS,
  );
  readonly #betweenTokens = this.#histogram("inter_token_latency_seconds", "Between texts of a chat.", TOKEN_SECONDS);
  readonly #queued = this.#histogram("request_queue_time_seconds", "Waiting for a worker.", WHOLE_SECONDS);
  readonly #whole = this.#histogram("e2e_request_latency_seconds", "From arrival to end.", WHOLE_SECONDS, ["kind"]);

  constructor(model: string, gauges: Gauges) {
    this.registry.setDefaultLabels({ model_name: model });
    this.#gauge("num_requests_running", "Requests that a worker has.", gauges.running);
    this.#gauge("num_requests_waiting", "Requests that wait for a worker.", gauges.waiting);
    this.#gauge("num_workers_ready", "Workers that are ready.", gauges.readyWorkers);
  }

  /** A request that has found a worker. */
  begun(waitedMs: number): void {
    this.#queued.observe(waitedMs / 1000);
  }

  /** A text of a chat, so long after its last one, or after its arrival. */
  text(isFirst: boolean, sinceMs: number): void {
    (isFirst ? this.#firstToken : this.#betweenTokens).observe(sinceMs / 1000);
  }

  ended({ finishReason, usage }: EngineEvent & { readonly type: "end" }, kind: RequestKind, tookMs: number): void {
    this.#succeeded.inc({ finished_reason: finishReason });
    this.#whole.observe({ kind }, tookMs / 1000);
    this.#count(usage);
    if (kind === "chat") this.#queries.inc(usage.promptTokens); // no other request looks into the KV cache
  }

  /** `code` is that of the error, or "abort". */
  failed(code: string): void {
    this.#failed.inc({ code });
  }

  died(): void {
    this.#deaths.inc();
  }

  #count({ promptTokens, cachedPromptTokens, completionTokens, imagesOut }: Usage): void {
    this.#promptTokens.inc(promptTokens);
    this.#generatedTokens.inc(completionTokens);
    this.#hits.inc(cachedPromptTokens);
    this.#images.inc(imagesOut);
  }

  #counter<T extends string>(name: string, help: string, labelNames: readonly T[] = []): Counter<T> {
    return new Counter({ name: `kelix:${name}`, help, labelNames, registers: [this.registry] });
  }

  #gauge(name: string, help: string, read: () => number): void {
    new Gauge({
      name: `kelix:${name}`,
      help,
      registers: [this.registry],
      collect() {
        this.set(read());
      },
    });
  }

  #histogram<T extends string>(
    name: string,
    help: string,
    buckets: number[],
    labelNames: readonly T[] = [],
  ): Histogram<T> {
    return new Histogram({ name: `kelix:${name}`, help, buckets, labelNames, registers: [this.registry] });
  }
}
