// The classes of error that a caller treats differently. Every message is one sentence that may be shown to whoever caused it;
// another library's own words stay in `cause`.

import { withoutSecrets } from "./safe-url.ts";

/** What an error is about, stable between versions: for programs to compare. */
export type ErrorCode =
  | "invalid_input"
  | "invalid_option"
  | "invalid_image"
  | "invalid_codes"
  | "invalid_messages"
  | "too_long"
  | "output_refused"
  | "model_not_found"
  | "invalid_model"
  | "unsupported_model"
  | "missing_part"
  | "fetch_failed"
  | "out_of_memory"
  | "disposed"
  | "internal";

export interface KelixErrorOptions extends ErrorOptions {
  readonly code?: ErrorCode;
}

/** The base of every error that Kelix throws on purpose. */
export class KelixError extends Error {
  override readonly name: string = "KelixError";
  readonly code: ErrorCode;

  constructor(message: string, { code = "internal", ...options }: KelixErrorOptions = {}) {
    super(withoutSecrets(message), options);
    this.code = code;
  }
}

/** The caller's fault: an option, image, message or file name that cannot be used. The same call fails again. */
export class InputError extends KelixError {
  override readonly name = "InputError";

  constructor(message: string, { code = "invalid_input", ...options }: KelixErrorOptions = {}) {
    super(message, { code, ...options });
  }
}

/** The files' fault: a model that is malformed, incomplete, or not supported. */
export class ModelError extends KelixError {
  override readonly name = "ModelError";

  constructor(message: string, { code = "invalid_model", ...options }: KelixErrorOptions = {}) {
    super(message, { code, ...options });
  }
}

export interface FetchErrorOptions extends KelixErrorOptions {
  readonly canRetry?: boolean;
  readonly retryAfterMs?: number;
}

/** A transfer that failed; `cause` holds the network's own error. */
export class FetchError extends KelixError {
  override readonly name = "FetchError";
  /** Whether the same request may succeed later, as after a cut connection or a busy server. */
  readonly canRetry: boolean;
  /** How long the server asks to be left alone. */
  readonly retryAfterMs: number;

  constructor(
    message: string,
    { code = "fetch_failed", canRetry = false, retryAfterMs = 0, ...options }: FetchErrorOptions = {},
  ) {
    super(message, { code, ...options });
    this.canRetry = canRetry;
    this.retryAfterMs = retryAfterMs;
  }
}

/** There is not enough memory; the message says what is needed, what there is, and what would fit. */
export class MemoryError extends KelixError {
  override readonly name = "MemoryError";
  readonly neededBytes: number;
  readonly availableBytes: number;

  constructor(message: string, neededBytes: number, availableBytes: number) {
    super(message, { code: "out_of_memory" });
    this.neededBytes = neededBytes;
    this.availableBytes = availableBytes;
  }
}

/** Input is repeated in a message up to so many characters. */
const MAX_QUOTE = 200;

/** A value from outside as it may stand in a message: JSON, cut to 200 characters. */
export function quote(value: unknown): string {
  const text = typeof value === "string" ? value : describe(value);
  const cut = text.length > MAX_QUOTE ? `${text.slice(0, MAX_QUOTE - 1)}…` : text;
  return typeof value === "string" ? JSON.stringify(cut) : cut;
}

function describe(value: unknown): string {
  if (typeof value === "function") return "a function";
  if (ArrayBuffer.isView(value)) return `${value.constructor.name} of ${value.byteLength} bytes`;
  try {
    return JSON.stringify(value, (_, inner) => (typeof inner === "bigint" ? `${inner}n` : inner)) ?? String(value);
  } catch {
    return Object.prototype.toString.call(value);
  }
}
