// Requests, events and errors as bytes in Redis.

import type { Packr } from "msgpackr";
import { KelixError } from "../../errors.ts";
import { needPackage } from "../../runtime/optional-package.ts";
import { fromWire, toWire, type WireError } from "../engine/wire-errors.ts";
import { EngineError, type EngineErrorCode, type EngineEvent, type EngineRequest } from "../protocol.ts";

/** An error for the replica that holds the client's connection. */
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
    // Keeps typed arrays, and objects that other versions can read.
    return new Packer(new Packr({ moreTypes: true, useRecords: false, copyBuffers: true }));
  }

  pack(value: EngineRequest | EngineEvent | PackedError): Buffer {
    return this.#packr.pack(value);
  }

  /** Does not validate: anyone who can write to the queue is trusted (docs/server.md). */
  unpack<T extends EngineRequest | EngineEvent | PackedError>(bytes: Buffer): T {
    return this.#packr.unpack(bytes) as T;
  }
}

/** An error of the engine, whose message is safe to show to a client. */
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
