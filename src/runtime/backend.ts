// What a backend of ONNX Runtime must offer; backend.node.ts and backend.web.ts provide it.

import { InputError, KelixError } from "../errors.ts";
import type { Graph } from "../tensor/graph.ts";
import type { TypedArray } from "./host-tensor.ts";
import type { RunMemory, Session } from "./session.ts";

export const devices = ["cpu", "webgpu", "cuda", "wasm"] as const;
export type Device = (typeof devices)[number];

/** Where a network runs, and why. */
export interface Place {
  readonly device: Device;
  /** In words: "asked for", "there is no WebGPU adapter". */
  readonly reason: string;
}

/** Opens the session of a graph on the device that suits it. `tell` is called again where the choice takes a while. */
export type PlaceSession = (
  graph: Graph,
  openOn: (device: Device) => Promise<Session>,
  tell: (device: Device, reason: string) => void,
) => Promise<Session>;

/** How WebAssembly is started; read once, before the first session of the page. */
export interface WasmSettings {
  readonly threads?: number | undefined;
  /** Where ONNX Runtime's two files are: the folder of both, or each by its URL, and the folder of WebGPU's build. */
  readonly wasmPaths?: string | { readonly [file in "mjs" | "wasm" | "webgpu"]?: string | undefined } | undefined;
}

export interface OrtTensor {
  readonly type: string;
  readonly dims: readonly number[];
  readonly data: unknown;
}

export interface OrtSession {
  run(feeds: Record<string, OrtTensor>, fetches: Record<string, OrtTensor | null>): Promise<Record<string, OrtTensor>>;
  release(): Promise<void>;
  /** Ends the profile that `profile` started. */
  endProfiling(): void;
}

export interface OrtSessionOptions {
  readonly folder?: string | undefined;
  readonly threads?: number | undefined;
  readonly profile?: string | undefined;
  /** What hangs on weights alone is computed once, when the session is created. */
  readonly foldsConstants: boolean;
  /** Weights are copied into the order that products read, once. */
  readonly prepacks: boolean;
  readonly runMemory: RunMemory;
}

export interface Backend {
  /** What computes: "wasm" also where "cpu" was asked for and there is no native library. */
  readonly device: Device;
  /** Whether weights may be given as places in files. */
  readonly readsFiles: boolean;
  /** Whether sessions are opened and run on the caller's own thread, where nothing else happens meanwhile. */
  readonly isBlocking: boolean;
  create(model: Uint8Array, options: OrtSessionOptions): Promise<OrtSession>;
  tensor(type: string, data: TypedArray, shape: readonly number[]): OrtTensor;
}

/** A device that is not there, or does not work. */
export function unavailable(message: string, cause?: unknown): InputError {
  return new InputError(message, { code: "device_unavailable", cause });
}

/** ONNX Runtime's log level "fatal": errors are thrown as well, and its own lines on stderr would only repeat them. */
export const LOG_FATAL = 4;

/** ONNX Runtime's own words are for its developers; they stay in `cause`. */
export function explain(cause: unknown): never {
  if (/alloc|memory/i.test(cause instanceof Error ? cause.message : "")) {
    throw new KelixError("Memory ran out while a network was opened or run", { code: "out_of_memory", cause });
  }
  throw new KelixError("ONNX Runtime cannot run a network of this model: its configs or weights may be damaged", {
    cause,
  });
}
