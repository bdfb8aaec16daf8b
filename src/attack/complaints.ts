// What is wrong with an answer to bad input, whatever the input was.

import type { Reply } from "./target.ts";

/** Words of libraries, run times and machines that a client has no use for, and an attacker has. */
const leaks: readonly (readonly [pattern: RegExp, what: string])[] = [
  [/Traceback \(most recent call last\)|File ".+", line \d+/, "a trace of Python"],
  [/\bat .+\.[cm]?[jt]s:\d+:\d+/, "a trace of JavaScript"],
  [/\.rs:\d+:\d+|panicked at|goroutine \d+/, "a trace of Rust or Go"],
  [/(?<![\w.:/])\/(?:home|root|usr|opt|app|var|tmp|workspace|work|Users)\/[\w.-]+/, "a path of the machine"],
  [/[A-Z]:\\\\?(?:Users|Program Files|Windows)/, "a path of the machine"],
  [/\b0x[0-9a-f]{8,16}\b/i, "an address in memory"],
  [
    /\b(?:libvips|Vips\w+|libpng|libspng|libjpeg|libwebp|PIL\.|Pillow|numpy|torch|pydantic|onnxruntime|ONNXRuntime|node_modules)\b/,
    "a library's own words",
  ],
  [/\b(?:ENOENT|ECONNREFUSED|ECONNRESET|EACCES|ETIMEDOUT)\b/, "the system's own error"],
  [
    /\b(?:TypeError|ReferenceError|SyntaxError|RangeError|ValueError|KeyError|RuntimeError|AssertionError|NullPointerException)\b/,
    "the name of an exception",
  ],
];

/** What a text tells of the inside of a server; undefined for nothing. */
export function leakIn(text: string): string | undefined {
  for (const [pattern, what] of leaks) {
    const found = pattern.exec(text)?.[0];
    if (found !== undefined) return `${what} (${JSON.stringify(found.slice(0, 60))})`;
  }
  return undefined;
}

/** Whether a server says that it has no room or does not do this, which is no fault. */
const honest = [501, 503];

/** What is wrong with a reply to `what`; undefined if it is a refusal, or an answer, as it should be. */
export function complain(what: string, { status, text, failure, tookMs }: Reply): string | undefined {
  if (failure === "timeout") return `${what}: no answer within ${Math.round(tookMs / 1000)} s`;
  if (failure) return `${what}: the connection was cut without an answer`;
  if (status >= 500 && !honest.includes(status)) return `${what}: status ${status}`;
  const leak = leakIn(text);
  return leak === undefined ? undefined : `${what}: the answer has ${leak}`;
}

/** As `complain`, and also where it was not refused. */
export function complainUnlessRefused(what: string, reply: Reply): string | undefined {
  if (reply.status >= 200 && reply.status < 400) return `${what}: accepted, with status ${reply.status}`;
  return complain(what, reply);
}
