// The engine's metrics. The names are vLLM's with `kelix:` instead of `vllm:`, so its dashboards need one replacement.

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
  readonly #promptTokens = this.#counter("prompt_tokens_total", "Prompt tokens of answered requests.");
  readonly #generatedTokens = this.#counter("generation_tokens_total", "Generated tokens.");
  readonly #queries = this.#counter("prefix_cache_queries_total", "Prompt tokens looked up in the KV cache.");
  readonly #hits = this.#counter("prefix_cache_hits_total", "Prompt tokens found in the KV cache.");
  readonly #images = this.#counter("images_generated_total", "Images drawn.");
  readonly #succeeded = this.#counter("request_success_total", "Answered requests.", ["finished_reason"]);
  readonly #failed = this.#counter("request_failure_total", "Failed and aborted requests.", ["code"]);
  readonly #deaths = this.#counter("worker_deaths_total", "Unexpected ends of worker threads.");
  readonly #firstToken = this.#histogram(
    "time_to_first_token_seconds",
    "Time from a chat's arrival to its first text.",
    FIRST_TOKEN_SECONDS,
  );
  readonly #betweenTokens = this.#histogram(
    "inter_token_latency_seconds",
    "Time between texts of a chat.",
    TOKEN_SECONDS,
  );
  readonly #queued = this.#histogram("request_queue_time_seconds", "Time waiting for a worker.", WHOLE_SECONDS);
  readonly #whole = this.#histogram("e2e_request_latency_seconds", "Time from arrival to end.", WHOLE_SECONDS, [
    "kind",
  ]);

  constructor(model: string, gauges: Gauges) {
    this.registry.setDefaultLabels({ model_name: model });
    this.#gauge("num_requests_running", "Running requests.", gauges.running);
    this.#gauge("num_requests_waiting", "Waiting requests.", gauges.waiting);
    this.#gauge("num_workers_ready", "Ready workers.", gauges.readyWorkers);
  }

  /** A request was assigned to a worker. */
  begun(waitedMs: number): void {
    this.#queued.observe(waitedMs / 1000);
  }

  /** A text of a chat, `sinceMs` after its previous one or its arrival. */
  text(isFirst: boolean, sinceMs: number): void {
    (isFirst ? this.#firstToken : this.#betweenTokens).observe(sinceMs / 1000);
  }

  ended({ finishReason, usage }: EngineEvent & { readonly type: "end" }, kind: RequestKind, tookMs: number): void {
    this.#succeeded.inc({ finished_reason: finishReason });
    this.#whole.observe({ kind }, tookMs / 1000);
    this.#count(usage);
    if (kind === "chat") this.#queries.inc(usage.promptTokens); // only chats use the KV cache
  }

  /** `code` is the error's, or "abort". */
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
