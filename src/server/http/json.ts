// JSON from untrusted clients. A quick scan bounds its depth and number of values before it is parsed. Strings, such as megabytes of base64,
// are skipped at the speed of a search.

import { ApiError } from "./api-error.ts";
import type { Limits } from "./settings.ts";

const QUOTE = 0x22;
const BACKSLASH = 0x5c;
const [COMMA, OPEN_LIST, OPEN_OBJECT, CLOSE_LIST, CLOSE_OBJECT] = [0x2c, 0x5b, 0x7b, 0x5d, 0x7d];

/** Throws an ApiError for invalid JSON, or for more than the limits. */
export function parseJson(bytes: Buffer, { jsonDepth, jsonValues }: Pick<Limits, "jsonDepth" | "jsonValues">): unknown {
  let depth = 0;
  let values = 0;
  for (let at = 0; at < bytes.length; at++) {
    const byte = bytes[at];
    if (byte === QUOTE) {
      at = closingQuote(bytes, at);
      if (at < 0) break; // JSON.parse reports it
    } else if (byte === OPEN_LIST || byte === OPEN_OBJECT) {
      values++;
      if (++depth > jsonDepth) throw refuse(`The body nests deeper than ${jsonDepth} levels`);
    } else if (byte === CLOSE_LIST || byte === CLOSE_OBJECT) depth--;
    else if (byte === COMMA && ++values > jsonValues) throw refuse(`The body has more than ${jsonValues} values`);
  }
  try {
    return JSON.parse(new TextDecoder("utf-8", { fatal: true }).decode(bytes));
  } catch (cause) {
    throw refuse("The body is not JSON in UTF-8", cause);
  }
}

/** The end of the string that starts at `start`; -1 if it has none. */
function closingQuote(bytes: Buffer, start: number): number {
  for (let at = bytes.indexOf(QUOTE, start + 1); at >= 0; at = bytes.indexOf(QUOTE, at + 1)) {
    let slashes = 0;
    while (bytes[at - 1 - slashes] === BACKSLASH) slashes++;
    if (slashes % 2 === 0) return at;
  }
  return -1;
}

function refuse(message: string, cause?: unknown): ApiError {
  return new ApiError(400, message, { code: "invalid_json", cause });
}
