// Requests, events and errors as bytes in Redis.

import type { Packr } from "msgpackr";
import { KelixError } from "../../errors.ts";
import { needPackage } from "../../runtime/optional-package.ts";
import { fromWire, toWire, type WireError } from "../engine/wire-errors.ts";
import { EngineError, type EngineErrorCode, type EngineEvent, type EngineRequest } from "../protocol.ts";

/** An error on its way to the replica that has the client. */
export type PackedError =
  | WireError
  | { readonly name: "EngineError"; readonly code: EngineErrorCode; readonly message: string };

export class Packer {
  readonly #packr: Packr;

  private constructor(packr: Packr) {
    this.#packr = packr;
  }

  static async open(): Promise<Packer> {
    const { Packr } = await needPackage(() => import("msgpackr"), "The queue", "bullmq@6 ioredis@6 msgpackr@2");
    // Typed arrays stay what they are; objects stay readable by other versions.
    return new Packer(new Packr({ moreTypes: true, useRecords: false, copyBuffers: true }));
  }

  pack(value: EngineRequest | EngineEvent | PackedError): Buffer {
    return this.#packr.pack(value);
  }

  /** Whoever can write to the queue is trusted (docs/server.md). */
  unpack<T extends EngineRequest | EngineEvent | PackedError>(bytes: Buffer): T {
    return this.#packr.unpack(bytes) as T;
  }
}

/** What an engine threw; its messages may be shown to a client. */
export function packError(error: unknown): PackedError {
  if (error instanceof EngineError) return { name: "EngineError", code: error.code, message: error.message };
  if (!(error instanceof KelixError)) return toWire(error);
  const names = ["InputError", "ModelError", "MemoryError", "FetchError"] as const;
  const name = names.find((name) => name === error.name) ?? "KelixError";
  return { name, code: error.code, message: error.message };
}

export function unpackError(error: PackedError): KelixError {
  return error.name === "EngineError" ? new EngineError(error.code, error.message) : fromWire(error);
}
