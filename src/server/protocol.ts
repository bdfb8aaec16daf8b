// The interface between the two halves of the server. The HTTP side turns request bodies into engine requests and events into answers; the
// engine (server/engine) runs the requests in worker threads. Everything here can be cloned between threads: no paths, URLs or callbacks.

import type { Registry } from "prom-client";
import type { Usage } from "../chat/chat.ts";
import type { TokenLogprobs } from "../chat/logprobs.ts";
import { KelixError } from "../errors.ts";
import type { ChatOptions, ImagineOptions, ReconstructOptions } from "../options.ts";
import type { Role } from "../text/chat-template.ts";
import type { CodeFields, CodesInput } from "../vision/image-codes.ts";

/** A part of a message. An image is the bytes of a JPEG, PNG or WebP file, or its codes. */
export type WirePart =
  | { readonly type: "text"; readonly text: string }
  | { readonly type: "image"; readonly image: Uint8Array | CodesInput };

export interface WireMessage {
  readonly role: Role;
  readonly content: string | readonly WirePart[];
}

type Drawing = "seed" | "steps" | "guidance" | "receipt";
type Sampling = "temperature" | "topK" | "topP";

/**
 * One answer, one image or one vector. `n` answers are `n` requests with consecutive seeds. The engine checks options as the library does:
 * an InputError uses the library's option names. Image bytes are copied, not transferred.
 */
export type EngineRequest =
  | {
      readonly kind: "chat";
      readonly messages: readonly WireMessage[];
      readonly options: Pick<ChatOptions, "maxNewTokens" | "minNewTokens" | "stop" | Sampling | Drawing>;
      /** Whether the answer may contain images. */
      readonly mayDraw: boolean;
      /** How many alternatives to report log-probabilities for, 0 to 20; no log-probabilities if absent. */
      readonly topLogprobs?: number;
      /** At most so many previews of each image, spread over the steps. */
      readonly previews?: number;
    }
  | {
      readonly kind: "imagine";
      readonly prompt: string;
      readonly options: Pick<ImagineOptions, Sampling | Drawing>;
      /** At most so many previews, spread over the steps. */
      readonly previews?: number;
    }
  | {
      readonly kind: "edit";
      readonly image: Uint8Array | CodesInput;
      /** The white part is rewritten; everything if absent. */
      readonly mask?: Uint8Array;
      readonly prompt: string;
      readonly options: Pick<ImagineOptions, Sampling | Drawing>;
      readonly previews?: number;
    }
  | { readonly kind: "tokenize"; readonly image: Uint8Array }
  | { readonly kind: "embed"; readonly image: Uint8Array | CodesInput }
  | {
      readonly kind: "reconstruct";
      readonly codes: CodesInput;
      readonly options: Pick<ReconstructOptions, Drawing>;
      readonly previews?: number;
    };

export type RequestKind = EngineRequest["kind"];

/** Texts waiting for a slow reader are joined. */
export type EngineEvent =
  | {
      readonly type: "text";
      readonly text: string;
      /** One per token of the text, if requested. */
      readonly logprobs?: readonly TokenLogprobs[];
    }
  /** The unfinished image; `index` counts from 0. Skipped if the reader is slow. */
  | { readonly type: "preview"; readonly index: number; readonly png: Uint8Array }
  | {
      readonly type: "image";
      /** A PNG file, with its receipt unless the engine was opened without receipts. */
      readonly png: Uint8Array;
      readonly width: number;
      readonly height: number;
      readonly seed: number;
      /** The codes that were written or given. */
      readonly codes: CodeFields;
      /** Whether no other request has run in the same worker since this one began; then the same seed gives the same bytes. */
      readonly isAlone: boolean;
      /** The same as in the PNG. */
      readonly receipt?: unknown;
    }
  | { readonly type: "codes"; readonly codes: CodeFields }
  | { readonly type: "vector"; readonly vector: Float32Array }
  /**
   * The last event of every request that does not fail. For `tokenize` and `embed`, usage counts the positions of the image's grid. For
   * `reconstruct` it is zero, since the language model is not used.
   */
  | { readonly type: "end"; readonly finishReason: "stop" | "length"; readonly usage: Usage };

/** A model of the engine. */
export interface ModelCard {
  /** The model id that clients use. */
  readonly id: string;
  /** When the engine was opened, in Unix seconds. */
  readonly created: number;
  /** Known once a worker is ready. */
  readonly facts?: ModelFacts;
}

export interface ModelFacts {
  /** Maximum positions of a conversation with its answer; 0 without a language model. */
  readonly context: number;
  /** Rows and columns of the images it draws. */
  readonly grid: readonly [rows: number, columns: number];
  /** Width and height of the images it draws, in pixels; absent if it draws none. */
  readonly imageSize?: readonly [width: number, height: number];
  /** Default options for drawing. */
  readonly drawing: Readonly<Record<"steps" | "guidance" | "temperature" | "topK" | "topP", number>>;
  readonly canChat: boolean;
  readonly canImagine: boolean;
  readonly canReconstruct: boolean;
  readonly canEmbed: boolean;
  readonly codebooks: number;
  readonly codesPerBook: number;
  /** Length of the vectors from `embed`. */
  readonly width: number;
}

export interface RunOptions {
  /** The id of a model card. */
  readonly model: string;
  /** The caller. Keys take turns, and caches are never shared between keys. */
  readonly key: string;
  /** Stops the work within one step; iterating over the events then throws the signal's reason. */
  readonly signal?: AbortSignal;
  /** Time limit from now, including the wait in the queue; the engine's own if absent. */
  readonly deadlineMs?: number;
  /**
   * The same for every retry of a request. Engines that share a queue do the work once, finish it even if nobody reads it, and replay
   * its events from the first to everyone who asks.
   */
  readonly id?: string;
}

/**
 * `starting`: no worker is ready yet, or the last one died; requests wait in the queue. `queue_unavailable`: the shared queue cannot be
 * reached.
 */
export type EngineState = "starting" | "ready" | "draining" | "queue_unavailable";

export interface Engine {
  readonly models: readonly ModelCard[];
  /**
   * Queues a request when its first event is requested, and runs it when its turn comes. Leaving the loop aborts the work. Throws an
   * EngineError, an InputError if the caller is at fault, or another KelixError. All messages are safe to show to clients.
   */
  run(request: EngineRequest, options: RunOptions): AsyncIterable<EngineEvent>;
  readonly state: EngineState;
  /** Resolves when the first worker is ready. Rejects if the model cannot be loaded; the engine is then closed. */
  readonly ready: Promise<void>;
  /** The engine's metrics, named `kelix:..` after vLLM's. */
  readonly registry: Registry;
  /** Rejects waiting and new requests, gives running ones `graceMs` to finish, then aborts them and ends all threads. Safe to call twice. */
  close(options?: { readonly graceMs?: number }): Promise<void>;
}

/** A valid request could not be answered. */
export class EngineError extends KelixError {
  override readonly name = "EngineError";
  declare readonly code: EngineErrorCode;
  /** For the Retry-After header. */
  readonly retryAfterSeconds: number | undefined;

  constructor(code: EngineErrorCode, message: string, retryAfterSeconds?: number) {
    super(message, { code });
    this.retryAfterSeconds = retryAfterSeconds;
  }
}

/** Sent as: `queue_full` 429, `draining` and `queue_unavailable` 503, `deadline_exceeded` 504, `worker_died` 500. */
export type EngineErrorCode = "queue_full" | "deadline_exceeded" | "worker_died" | "draining" | "queue_unavailable";
