// The classes of error that a caller treats differently. Every message is one sentence that may be shown to the user;
// another library's own words stay in `cause`.

import { withoutSecrets } from "./files/safe-url.ts";

/** What an error is about, stable between versions: for programs to compare. docs/errors.md says when each occurs. */
export const errorCodes = [
  "invalid_input",
  "invalid_option",
  "invalid_image",
  "invalid_codes",
  "invalid_messages",
  "invalid_receipt",
  "too_long",
  "output_refused",
  "output_failed",
  "model_not_found",
  "invalid_model",
  "unsupported_model",
  "missing_part",
  "device_unavailable",
  "fetch_failed",
  "out_of_memory",
  "disposed",
  "queue_full",
  "deadline_exceeded",
  "worker_died",
  "draining",
  "queue_unavailable",
  "internal",
] as const;
export type ErrorCode = (typeof errorCodes)[number];

export interface KelixErrorOptions extends ErrorOptions {
  readonly code?: ErrorCode;
}

/** The base of every error that Kelix throws on purpose. */
export class KelixError extends Error {
  override readonly name: string = "KelixError";
  readonly code: ErrorCode;

  constructor(message: string, { code = "internal", ...options }: KelixErrorOptions = {}) {
    super(printable(withoutSecrets(message)), options);
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

/** What every use of a model says after its `dispose`, also work that was going on then. */
export function disposedError(options: ErrorOptions = {}): KelixError {
  return new KelixError("The model has been disposed of; load it again", { code: "disposed", ...options });
}

/** Text in which names from files may stand: characters that would steer a terminal, begin a line or turn its direction are spelled out. */
export function printable(text: string): string {
  return text.replace(
    /[\p{Cc}\u2028\u2029\u202a-\u202e\u2066-\u2069]/gu,
    (character) => `\\u${character.charCodeAt(0).toString(16).padStart(4, "0")}`,
  );
}

/** A message repeats at most so many characters of its input. */
const MAX_QUOTE = 200;
/** Entries of a list or an object that a message shows. */
const MAX_ENTRIES = 8;
/** Levels of lists and objects that a message shows. */
const MAX_DEPTH = 3;

/** Text from outside as it may stand in a message: its first 200 characters. */
export function excerpt(text: string): string {
  return text.length > MAX_QUOTE ? `${text.slice(0, MAX_QUOTE - 1)}…` : text;
}

/** A value from outside as it may stand in a message: like JSON where it can be, else its kind; cut to 200 characters. */
export function quote(value: unknown): string {
  return typeof value === "string" ? JSON.stringify(excerpt(value)) : excerpt(describe(value, 0));
}

function describe(value: unknown, depth: number): string {
  if (typeof value === "string") return JSON.stringify(excerpt(value));
  if (typeof value === "bigint") return `${value}n`;
  if (typeof value === "function" || typeof value === "symbol") return `a ${typeof value}`;
  if (typeof value !== "object" || value === null) return String(value);
  try {
    if (ArrayBuffer.isView(value)) return `${withArticle(value.constructor.name)} of ${value.byteLength} bytes`;
    if (Array.isArray(value)) return `[${entries(value, depth, (item) => describe(item, depth + 1))}]`;
    const name = value.constructor?.name ?? "Object";
    if (name !== "Object") return withArticle(name);
    const property = ([key, item]: [string, unknown]) => `${JSON.stringify(excerpt(key))}:${describe(item, depth + 1)}`;
    return `{${entries(Object.entries(value), depth, property)}}`;
  } catch {
    return "an object"; // a getter or a proxy that throws
  }
}

function entries<T>(list: readonly T[], depth: number, show: (item: T) => string): string {
  if (depth >= MAX_DEPTH && list.length > 0) return "…";
  return [...list.slice(0, MAX_ENTRIES).map(show), ...(list.length > MAX_ENTRIES ? ["…"] : [])].join(",");
}

/** "an AbortController", "a Promise" */
function withArticle(name: string): string {
  return `${/^[AEIOU]/i.test(name) && !/^U[iR]/.test(name) ? "an" : "a"} ${name}`;
}
