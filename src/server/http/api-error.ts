// Errors as clients see them: { error: { message, type, param, code } }, the form of OpenAI's API. Only messages written in this project
// leave the server; those of libraries go to the log.

import { InputError, KelixError, printable } from "../../errors.ts";
import { withoutSecrets } from "../../files/safe-url.ts";
import { EngineError } from "../protocol.ts";

export interface ErrorBody {
  readonly error: {
    readonly message: string;
    readonly type: string;
    readonly param: string | null;
    readonly code: string | null;
  };
}

export interface ApiErrorOptions extends ErrorOptions {
  /** The invalid field. */
  readonly param?: string | undefined;
  /** Stable, for programs. */
  readonly code?: string | undefined;
  readonly headers?: Readonly<Record<string, string>>;
}

/** An error with its HTTP status. */
export class ApiError extends Error {
  override readonly name = "ApiError";
  readonly status: number;
  readonly param: string | undefined;
  readonly code: string | undefined;
  readonly headers: Readonly<Record<string, string>>;

  constructor(status: number, message: string, { param, code, headers = {}, ...options }: ApiErrorOptions = {}) {
    super(printable(withoutSecrets(message)), options);
    this.status = status;
    this.param = param;
    this.code = code;
    this.headers = headers;
  }

  get body(): ErrorBody {
    const { status, message, param = null, code = null } = this;
    return { error: { message, type: typeOf(status), param, code } };
  }
}

const types: Readonly<Record<number, string>> = {
  401: "authentication_error",
  403: "permission_error",
  408: "timeout_error",
  429: "rate_limit_error",
  504: "timeout_error",
};

function typeOf(status: number): string {
  return types[status] ?? (status >= 500 ? "server_error" : "invalid_request_error");
}

/** A 400 that names an invalid field. */
export function badField(param: string, message: string, code = "invalid_value"): ApiError {
  return new ApiError(400, message, { param, code });
}

/** API field names of the library's options. */
const fieldNames: Readonly<Record<string, string>> = {
  maxNewTokens: "max_tokens",
  minNewTokens: "min_tokens",
  topK: "top_k",
  topP: "top_p",
  steps: "num_inference_steps",
  guidance: "guidance_scale",
};

const engineStatus = {
  queue_full: 429,
  draining: 503,
  queue_unavailable: 503,
  deadline_exceeded: 504,
  worker_died: 500,
} as const;
/** Temporary failures. */
const brief = ["queue_full", "draining", "queue_unavailable"];

/** Failures that are not the caller's fault. */
const notTheCallers = ["internal", "disposed", "out_of_memory", "invalid_model", "fetch_failed", "output_failed"];

/**
 * Converts any error to one that is safe to show to a client. `param` is the field that the input came from. Unexpected errors become one
 * generic message; the log has the details.
 */
export function toApiError(error: unknown, param?: string): ApiError {
  if (error instanceof ApiError) return error;
  const options = { cause: error };
  if (error instanceof EngineError) {
    const { code, retryAfterSeconds = brief.includes(code) ? 1 : undefined } = error;
    const headers: Record<string, string> = {};
    if (retryAfterSeconds !== undefined) headers["retry-after"] = String(Math.max(1, Math.ceil(retryAfterSeconds)));
    return new ApiError(engineStatus[code], error.message, { ...options, code, headers });
  }
  if (error instanceof KelixError && !notTheCallers.includes(error.code)) {
    const { message } = error;
    const [, name] = /^(?:Expected )?`(\w+)`/.exec(message) ?? [];
    const isOption = error instanceof InputError && error.code === "invalid_option" && name !== undefined;
    const code = error.code === "too_long" ? "context_length_exceeded" : error.code;
    return new ApiError(400, message, { ...options, code, param: isOption ? (fieldNames[name] ?? name) : param });
  }
  const message =
    error instanceof KelixError ? error.message : "Internal server error; the server's log has the details";
  return new ApiError(500, message, { ...options, code: error instanceof KelixError ? error.code : "internal" });
}
