// What is wrong with a reply to bad input.

import type { Reply } from "./target.ts";

/** Internals of libraries, runtimes and machines, which help only attackers. */
const leaks: readonly (readonly [pattern: RegExp, what: string])[] = [
  [/Traceback \(most recent call last\)|File ".+", line \d+/, "a trace of Python"],
  [/\bat .+\.[cm]?[jt]s:\d+:\d+/, "a trace of JavaScript"],
  [/\.rs:\d+:\d+|panicked at|goroutine \d+/, "a trace of Rust or Go"],
  [/(?<![\w.:/])\/(?:home|root|usr|opt|app|var|tmp|workspace|work|Users)\/[\w.-]+/, "a path on the machine"],
  [/[A-Z]:\\\\?(?:Users|Program Files|Windows)/, "a path on the machine"],
  [/\b0x[0-9a-f]{8,16}\b/i, "an address in memory"],
  [
    /\b(?:libvips|Vips\w+|libpng|libspng|libjpeg|libwebp|PIL\.|Pillow|numpy|torch|pydantic|onnxruntime|ONNXRuntime|node_modules)\b/,
    "a library's name",
  ],
  [/\b(?:ENOENT|ECONNREFUSED|ECONNRESET|EACCES|ETIMEDOUT)\b/, "an error code of the system"],
  [
    /\b(?:TypeError|ReferenceError|SyntaxError|RangeError|ValueError|KeyError|RuntimeError|AssertionError|NullPointerException)\b/,
    "the name of an exception",
  ],
];

/** What a text reveals of the server's internals; undefined if nothing. */
export function leakIn(text: string): string | undefined {
  for (const [pattern, what] of leaks) {
    const found = pattern.exec(text)?.[0];
    if (found !== undefined) return `${what} (${JSON.stringify(found.slice(0, 60))})`;
  }
  return undefined;
}

/** Overloaded or not implemented, which is not a failure. */
const honest = [501, 503];

/** What is wrong with the reply to `what`; undefined if it is a proper answer or rejection. */
export function complain(what: string, { status, text, failure, tookMs }: Reply): string | undefined {
  if (failure === "timeout") return `${what}: no answer within ${Math.round(tookMs / 1000)} s`;
  if (failure) return `${what}: the connection was closed without an answer`;
  if (status >= 500 && !honest.includes(status)) return `${what}: status ${status}`;
  const leak = leakIn(text);
  return leak === undefined ? undefined : `${what}: the answer contains ${leak}`;
}

/** As `complain`, and also complains if the request was accepted. */
export function complainUnlessRefused(what: string, reply: Reply): string | undefined {
  if (reply.status >= 200 && reply.status < 400) return `${what}: accepted, with status ${reply.status}`;
  return complain(what, reply);
}
