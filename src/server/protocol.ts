// What the two halves of the server say to each other. The HTTP side turns bodies into requests and events into answers; the engine
// (server/engine) runs them in worker threads. Everything here can be cloned from thread to thread: no path, no URL, no callback.

import type { Registry } from "prom-client";
import type { Usage } from "../chat/chat.ts";
import type { TokenLogprobs } from "../chat/logprobs.ts";
import { KelixError } from "../errors.ts";
import type { ChatOptions, ImagineOptions, ReconstructOptions } from "../options.ts";
import type { Role } from "../text/chat-template.ts";
import type { CodeFields, CodesInput } from "../vision/image-codes.ts";

/** A part of a message. An image is a file's bytes (JPEG, PNG or WebP, told by the bytes themselves), or its codes. */
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
 * One answer, one image, one vector. `n` of them are `n` requests, whose seeds the HTTP side counts up. Options are checked by the engine
 * as those of the library's calls are: an InputError names the option as the library does. Bytes of images are copied, not taken.
 */
export type EngineRequest =
  | {
      readonly kind: "chat";
      readonly messages: readonly WireMessage[];
      readonly options: Pick<ChatOptions, "maxNewTokens" | "minNewTokens" | "stop" | Sampling | Drawing>;
      /** Whether the answer may hold images. */
      readonly mayDraw: boolean;
      /** Tokens beside the chosen one whose probabilities are wanted, 0 to 20; none at all if absent. */
      readonly topLogprobs?: number;
      /** Previews of each image wanted at most, spread over the steps. */
      readonly previews?: number;
    }
  | {
      readonly kind: "imagine";
      readonly prompt: string;
      readonly options: Pick<ImagineOptions, Sampling | Drawing>;
      /** Previews wanted at most, spread over the steps. */
      readonly previews?: number;
    }
  | {
      readonly kind: "edit";
      readonly image: Uint8Array | CodesInput;
      /** White where to rewrite; everything if absent. */
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

/** Text, or a part of an image. Texts that wait for a slow reader are joined. */
export type EngineEvent =
  | {
      readonly type: "text";
      readonly text: string;
      /** Of each token of the text, where they were asked for. */
      readonly logprobs?: readonly TokenLogprobs[];
    }
  /** The image as it looks on the way; `index` counts from 0. Left out where the reader is slow. */
  | { readonly type: "preview"; readonly index: number; readonly png: Uint8Array }
  | {
      readonly type: "image";
      /** A PNG file, with its receipt unless the engine was opened without receipts. */
      readonly png: Uint8Array;
      readonly width: number;
      readonly height: number;
      readonly seed: number;
      /** Those that were written or given. */
      readonly codes: CodeFields;
      /** Whether no other request ran in the same worker from its beginning to here: then the same seed gives the same bytes. */
      readonly isAlone: boolean;
      /** As the PNG has it. */
      readonly receipt?: unknown;
    }
  | { readonly type: "codes"; readonly codes: CodeFields }
  | { readonly type: "vector"; readonly vector: Float32Array }
  /**
   * The last event of every request that does not fail. Positions of `tokenize` and `embed` are those of the image's grid; `reconstruct`
   * has none, since the language model takes no part.
   */
  | { readonly type: "end"; readonly finishReason: "stop" | "length"; readonly usage: Usage };

/** A model that answers. */
export interface ModelCard {
  /** What clients call it. */
  readonly id: string;
  /** When the engine was opened, in seconds since 1970. */
  readonly created: number;
  /** What follows is known once a worker is ready. */
  readonly facts?: ModelFacts;
}

export interface ModelFacts {
  /** Positions that a conversation and its answer may take; 0 where there is no language model. */
  readonly context: number;
  /** Rows and columns of codes of the images that it draws. */
  readonly grid: readonly [rows: number, columns: number];
  /** Width and height of the images that it draws, in pixels; absent where it draws none. */
  readonly imageSize?: readonly [width: number, height: number];
  /** How it draws where a request does not say. */
  readonly drawing: Readonly<Record<"steps" | "guidance" | "temperature" | "topK" | "topP", number>>;
  readonly canChat: boolean;
  readonly canImagine: boolean;
  readonly canReconstruct: boolean;
  readonly canEmbed: boolean;
  readonly codebooks: number;
  readonly codesPerBook: number;
  /** Of the vectors that `embed` gives. */
  readonly width: number;
}

export interface RunOptions {
  /** A card's id. */
  readonly model: string;
  /** Whose request it is: turns are taken by key, and nothing that is cached for one key is seen by another. */
  readonly key: string;
  /** Ends the work within one step, wherever it stands; the events then end with the signal's reason. */
  readonly signal?: AbortSignal;
  /** From now on, the wait in the queue included; the engine's own limit if absent. */
  readonly deadlineMs?: number;
  /**
   * The same for each repetition of a request. Engines that share a queue do such work once, finish it although nobody reads it, and
   * give its events to all who ask, from the first.
   */
  readonly id?: string;
}

/**
 * `starting` while no worker is ready, at the beginning and after the last one died: requests wait in the queue. `queue_unavailable` while
 * the queue that it shares with others cannot be reached.
 */
export type EngineState = "starting" | "ready" | "draining" | "queue_unavailable";

export interface Engine {
  readonly models: readonly ModelCard[];
  /**
   * Runs a request when its turn comes, which is with the first event that is asked for. Leaving the loop ends the work like an abort.
   * Throws an EngineError; an InputError for what the caller did wrong; a KelixError for the rest. Every message may be shown to a client.
   */
  run(request: EngineRequest, options: RunOptions): AsyncIterable<EngineEvent>;
  readonly state: EngineState;
  /** Resolves when the first worker is ready. Rejects where the model cannot be loaded: then the engine has closed. */
  readonly ready: Promise<void>;
  /** The engine's numbers, named `kelix:..` after vLLM's; the HTTP side may add its own. */
  readonly registry: Registry;
  /** Refuses what waits and what comes, lets what runs finish for so long, then ends it. No thread is left. Safe to call twice. */
  close(options?: { readonly graceMs?: number }): Promise<void>;
}

/** Why a request was not answered although nothing was wrong with it. */
export class EngineError extends KelixError {
  override readonly name = "EngineError";
  declare readonly code: EngineErrorCode;
  /** When to try again, as the header Retry-After has it. */
  readonly retryAfterSeconds: number | undefined;

  constructor(code: EngineErrorCode, message: string, retryAfterSeconds?: number) {
    super(message, { code });
    this.retryAfterSeconds = retryAfterSeconds;
  }
}

/** `queue_full` is a 429, `draining` and `queue_unavailable` a 503, `deadline_exceeded` a 408 or 504, `worker_died` a 500. */
export type EngineErrorCode = "queue_full" | "deadline_exceeded" | "worker_died" | "draining" | "queue_unavailable";
