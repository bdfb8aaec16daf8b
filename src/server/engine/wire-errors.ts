// Errors between threads. Clients only see our own messages about what they did; details about the server's files, memory or
// libraries go to the log.

import { type ErrorCode, FetchError, InputError, KelixError, MemoryError, ModelError } from "../../errors.ts";

export interface WireError {
  readonly name: "InputError" | "ModelError" | "MemoryError" | "FetchError" | "KelixError";
  readonly code: ErrorCode;
  /** May be shown to a client. */
  readonly message: string;
  /** For the log. */
  readonly detail?: string;
}

/** An error of a request. */
export function toWire(error: unknown): WireError {
  const detail = detailOf(error);
  if (error instanceof InputError) return { name: "InputError", code: error.code, message: error.message };
  if (error instanceof ModelError) {
    const message =
      error.code === "missing_part"
        ? "The model has no network for this request"
        : "The model's files cannot be used for this request; the server's log has the details";
    return { name: "ModelError", code: error.code, message, detail };
  }
  if (error instanceof MemoryError) {
    const message = "This request needs more memory than the server has left";
    return { name: "MemoryError", code: error.code, message, detail };
  }
  const message = "The server failed to answer this request; its log has the details";
  return { name: "KelixError", code: error instanceof KelixError ? error.code : "internal", message, detail };
}

/** Why a model could not be loaded, in full, for the operator. */
export function loadErrorToWire(error: unknown): WireError {
  if (!(error instanceof KelixError)) return toWire(error);
  const names = ["InputError", "ModelError", "MemoryError", "FetchError"] as const;
  const name = names.find((name) => name === error.name) ?? "KelixError";
  return { name, code: error.code, message: error.message, detail: detailOf(error) };
}

export function fromWire({ name, code, message }: WireError): KelixError {
  if (name === "InputError") return new InputError(message, { code });
  if (name === "ModelError") return new ModelError(message, { code });
  if (name === "FetchError") return new FetchError(message, { code });
  if (name === "MemoryError") return new MemoryError(message, 0, 0);
  return new KelixError(message, { code });
}

/** An error with its causes. */
function detailOf(error: unknown): string {
  if (!(error instanceof Error)) return String(error);
  const own = error.stack ?? `${error.name}: ${error.message}`;
  return error.cause === undefined ? own : `${own}\ncaused by ${detailOf(error.cause)}`;
}
