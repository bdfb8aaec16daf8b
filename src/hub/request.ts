// One request to the Hub: the token goes only to the Hub's own host, silence ends the request, and failures become FetchErrors
// that say what to do.

import { FetchError } from "../errors.ts";
import { explainConnection } from "../files/connection-error.ts";
import { proxyHint } from "../files/proxy-hint.ts";
import { askedPauseMs } from "../files/rate-limit.ts";
import { publicUrl, splitCredentials } from "../files/safe-url.ts";
import type { HubSettings } from "./settings.ts";

export interface RequestOptions {
  /** What is requested, for messages. */
  readonly what: string;
  readonly headers?: Readonly<Record<string, string>>;
  readonly signal?: AbortSignal | undefined;
  /** Statuses other than 2xx that are passed to `use` instead of thrown. */
  readonly handled?: readonly number[];
}

/** The response; `body` throws a FetchError when the connection breaks. */
export interface Answer {
  readonly status: number;
  readonly headers: Headers;
  /** Whether something in between compressed the body despite the request. `body` is decompressed; lengths and ranges are not. */
  readonly isCompressed: boolean;
  readonly body: AsyncIterable<Uint8Array>;
}

/**
 * Sends a GET, passes the response to `use`, and always closes the connection. Redirects are followed; fetch itself drops the
 * token when one leads to another host. Throws a FetchError for a status other than 2xx, and the signal's reason on abort.
 */
export async function request<T>(
  settings: HubSettings,
  url: string,
  { what, headers, signal, handled = [] }: RequestOptions,
  use: (answer: Answer) => Promise<T>,
): Promise<T> {
  const target = address(settings, url);
  const stall = new AbortController();
  const timer = setTimeout(() => stall.abort(), settings.stallMs);
  const explain = (error: unknown) => {
    if (signal?.aborted) return signal.reason;
    const host = hostOf(url);
    if (stall.signal.aborted)
      return new FetchError(`${what}: no data from ${host} for ${settings.stallMs / 1000} s`, { canRetry: true });
    const { reason, canRetry, cause } = explainConnection(error, proxyHint);
    return new FetchError(`${what}: cannot be fetched from ${host}: ${reason}`, { canRetry, cause });
  };
  let response: Response | undefined;
  try {
    try {
      response = await fetch(target.url, {
        headers: { ...headers, "Accept-Encoding": "identity", ...target.headers },
        signal: AbortSignal.any([stall.signal, ...(signal ? [signal] : [])]),
      });
    } catch (error) {
      throw explain(error);
    }
    if (!response.ok && !handled.includes(response.status)) throw refusal(response, what, settings);
    return await use({
      status: response.status,
      headers: response.headers,
      isCompressed: checkEncoding(response, what),
      body: chunks(response, timer, explain),
    });
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

/** Encodings that fetch decodes itself. */
const encodings = /^(identity|gzip|x-gzip|deflate|br)$/;

function checkEncoding({ headers, url }: Response, what: string): boolean {
  const names = (headers.get("Content-Encoding") ?? "").toLowerCase().split(",");
  const used = names.map((name) => name.trim()).filter((name) => name !== "" && name !== "identity");
  const unknown = used.find((name) => !encodings.test(name));
  if (unknown !== undefined)
    throw new FetchError(
      `${what}: ${hostOf(url)} sends it in a compression that is not supported. Is a proxy doing this?`,
    );
  return used.length > 0;
}

/** The URL for fetch, and the credentials for the Hub, which no other host sees. */
function address({ endpoint, token }: HubSettings, input: string): ReturnType<typeof splitCredentials> {
  const { url } = splitCredentials(input);
  const hub = splitCredentials(endpoint);
  if (url.origin !== hub.url.origin) return { url, headers: {} };
  if (hub.headers.Authorization !== undefined || !token) return { url, headers: hub.headers };
  // fetch would reject it too, but quote it in the message.
  if (!/^[\x21-\x7e]+$/.test(token))
    throw new FetchError(
      "The token in HF_TOKEN, or in the file that it is read from, cannot be sent: expected one line of ASCII characters without spaces",
    );
  return { url, headers: { Authorization: `Bearer ${token}` } };
}

const BUSY = [408, 425, 429];

function refusal(response: Response, what: string, { endpoint, token }: HubSettings): FetchError {
  const { status } = response;
  const host = hostOf(response.url);
  // Behind the Hub is file storage with signed URLs; each try gets a new one.
  const isStore = new URL(response.url).origin !== new URL(endpoint).origin;
  if (isStore || BUSY.includes(status) || status >= 500) {
    const retryAfterMs = askedPauseMs(response.headers);
    return new FetchError(`${what}: ${host} answered with status ${status}`, { canRetry: true, retryAfterMs });
  }
  const code = response.headers.get("X-Error-Code");
  const way = token
    ? "check that the token in HF_TOKEN may read it"
    : "if it is private, set HF_TOKEN to a token that may read it";
  if (code === "GatedRepo")
    return new FetchError(`${what}: request access on its page at ${publicUrl(endpoint)}; then set HF_TOKEN`);
  if (code === "RevisionNotFound")
    return new FetchError(`${what}: there is no such revision at ${host}`, { code: "model_not_found" });
  if (code === "EntryNotFound")
    return new FetchError(`${what}: there is no such file at ${host}`, { code: "model_not_found" });
  if (status === 401 && token && code !== "RepoNotFound")
    return new FetchError(`${what}: ${host} does not accept the token in HF_TOKEN (status 401)`);
  // The Hub also answers 401 for nonexistent names, so as not to reveal private ones.
  if (status === 401 || status === 404)
    return new FetchError(`${what}: there is no such repository at ${host} (status ${status}); ${way}`, {
      code: "model_not_found",
    });
  return new FetchError(`${what}: ${host} answered with status ${status}; ${way}`);
}

/** Host and port, which contain no secret. */
export function hostOf(url: string): string {
  return new URL(url).host;
}
