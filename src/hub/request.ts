// One request to the Hub: the token goes to the Hub's own host alone, silence ends it, and what can go wrong becomes a FetchError
// that says what to do.

import { FetchError } from "../errors.ts";
import type { HubSettings } from "./settings.ts";

export interface RequestOptions {
  /** What is asked for, as messages name it. */
  readonly what: string;
  readonly headers?: Readonly<Record<string, string>>;
  readonly signal?: AbortSignal | undefined;
}

/** What a successful answer is read from; `body` throws a FetchError when the connection breaks. */
export interface Answer {
  readonly status: number;
  readonly headers: Headers;
  readonly body: AsyncIterable<Uint8Array>;
}

/**
 * Sends a GET, hands the answer to `use`, and closes the connection whatever happens. Redirects are followed; fetch itself drops the
 * token where one leads to another host. Throws a FetchError for a status other than 2xx, and the signal's reason at its abort.
 */
export async function request<T>(
  settings: HubSettings,
  url: string,
  { what, headers, signal }: RequestOptions,
  use: (answer: Answer) => Promise<T>,
): Promise<T> {
  const stall = new AbortController();
  const timer = setTimeout(() => stall.abort(), settings.stallMs);
  const explain = (error: unknown) => {
    if (signal?.aborted) return signal.reason;
    if (!stall.signal.aborted) return connectionError(error, what, url);
    return new FetchError(`${what}: nothing came from ${hostOf(url)} for ${settings.stallMs / 1000} s`, {
      canRetry: true,
    });
  };
  let response: Response | undefined;
  try {
    try {
      response = await fetch(url, {
        headers: { ...headers, "Accept-Encoding": "identity", ...authorization(settings, url) },
        signal: AbortSignal.any([stall.signal, ...(signal ? [signal] : [])]),
      });
    } catch (error) {
      throw explain(error);
    }
    if (!response.ok) throw refusal(response, what, settings);
    return await use({ status: response.status, headers: response.headers, body: chunks(response, timer, explain) });
  } finally {
    clearTimeout(timer);
    await response?.body?.cancel().catch(() => undefined);
  }
}

async function* chunks(
  response: Response,
  timer: NodeJS.Timeout,
  explain: (error: unknown) => unknown,
): AsyncGenerator<Uint8Array, void, void> {
  const reader = response.body?.getReader();
  try {
    for (;;) {
      const part = await reader?.read().catch((error: unknown) => {
        throw explain(error);
      });
      if (!part || part.done) return;
      timer.refresh();
      yield part.value;
    }
  } finally {
    reader?.releaseLock();
  }
}

function authorization({ endpoint, token }: HubSettings, url: string): Record<string, string> {
  return token && new URL(url).origin === new URL(endpoint).origin ? { Authorization: `Bearer ${token}` } : {};
}

/** Codes of failures that pass by themselves; others, such as a certificate that is not trusted, do not. */
const passingCodes =
  /^(ECONNRESET|ECONNREFUSED|ECONNABORTED|EPIPE|ETIMEDOUT|ENOTFOUND|EAI_AGAIN|ENETUNREACH|ENETDOWN|EHOSTUNREACH|UND_ERR_.*)$/;

function connectionError(error: unknown, what: string, url: string): FetchError {
  // fetch throws a TypeError that says little; its cause has the system's code.
  const cause = (error as Error).cause as (Error & { code?: string }) | undefined;
  const reason = cause?.code ?? cause?.message ?? (error as Error).message;
  const canRetry = passingCodes.test(cause?.code ?? "");
  return new FetchError(`${what}: the connection to ${hostOf(url)} failed (${reason})`, { canRetry, cause: error });
}

const BUSY = [408, 429, 500, 502, 503, 504];

function refusal(response: Response, what: string, { endpoint, token }: HubSettings): FetchError {
  const { status } = response;
  const host = hostOf(response.url);
  // Behind the Hub is a store of files with signed addresses; each try gets a new one.
  const isStore = new URL(response.url).origin !== new URL(endpoint).origin;
  if (isStore || BUSY.includes(status)) {
    const seconds = Number(response.headers.get("Retry-After") ?? 0);
    const retryAfterMs = Number.isFinite(seconds) ? seconds * 1000 : 0;
    return new FetchError(`${what}: ${host} answers with status ${status}`, { canRetry: true, retryAfterMs });
  }
  const code = response.headers.get("X-Error-Code");
  const way = token
    ? "check that the token in HF_TOKEN may read it"
    : "if it is private, set HF_TOKEN to a token that may read it";
  if (code === "GatedRepo")
    return new FetchError(`${what}: access must be asked for on its page at ${endpoint}; then set HF_TOKEN`);
  if (code === "RevisionNotFound") return new FetchError(`${what}: there is no such revision at ${host}`);
  if (code === "EntryNotFound") return new FetchError(`${what}: there is no such file at ${host}`);
  if (status === 401 && token && code !== "RepoNotFound")
    return new FetchError(`${what}: ${host} does not accept the token in HF_TOKEN (status 401)`);
  // The Hub answers 401 for what does not exist too, so as not to tell which private names do.
  if (status === 401 || status === 404)
    return new FetchError(`${what}: there is no such repository at ${host} (status ${status}); ${way}`);
  return new FetchError(`${what}: ${host} answers with status ${status}; ${way}`);
}

function hostOf(url: string): string {
  return new URL(url).host;
}
