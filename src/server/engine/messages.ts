// Messages between the main thread and a worker.

import type { LoadOptions } from "../../options.ts";
import type { EngineEvent, EngineRequest, ModelFacts } from "../protocol.ts";
import type { WireError } from "./wire-errors.ts";

/** Start-up data of a worker. */
export interface WorkerSetup {
  readonly model: string;
  readonly load: WorkerLoadOptions;
}

/** Options of Kelix.load that can be cloned. */
export type WorkerLoadOptions = Pick<
  LoadOptions,
  | "detokenizer"
  | "autoencoder"
  | "adapter"
  | "device"
  | "threads"
  | "ignoreMemory"
  | "promptCacheBytes"
  | "drawingBytes"
>;

export type ToWorker =
  | { readonly type: "run"; readonly id: number; readonly request: EngineRequest; readonly key: string }
  | { readonly type: "abort"; readonly id: number }
  /** The worker may send so many more events of a request. */
  | { readonly type: "credit"; readonly id: number; readonly count: number }
  /** Releases the model; the thread then ends. */
  | { readonly type: "close" };

export type FromWorker =
  | { readonly type: "warning"; readonly message: string }
  | { readonly type: "ready"; readonly facts: ModelFacts }
  /** The model cannot be loaded; the thread ends. */
  | { readonly type: "failed"; readonly error: WireError }
  | { readonly type: "messages"; readonly messages: readonly RequestMessage[] };

/** An event of a request, or its end. One thread message carries several. */
export type RequestMessage =
  /** `atMs` is the worker's time; see `epochMs`. */
  | { readonly id: number; readonly event: EngineEvent; readonly atMs: number }
  | { readonly id: number; readonly done: true; readonly error?: WireError };

/** Events of a request that may be on the way, or wait for the reader. */
export const WINDOW = 32;

/** Fractional Unix milliseconds, the same in every thread. */
export function epochMs(): number {
  return performance.timeOrigin + performance.now();
}
