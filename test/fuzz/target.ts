// What is fuzzed, and what every input has to end in: a result, or an error of ours with a sentence that may be shown.

import { KelixError } from "../../src/errors.ts";

export interface Target {
  readonly name: string;
  /** `memory` for what only looks at bytes; `open` for what opens files, decoders, threads or graphs, which takes longer. */
  readonly kind: "memory" | "open";
  /** Valid inputs, some hundred bytes to some thousand. */
  seeds(): Promise<readonly Uint8Array[]>;
  /** Puts checksums or lengths right, so that what is behind them is reached too. */
  readonly repair?: (bytes: Uint8Array) => Uint8Array;
  /** Reads an input. Throws a KelixError for what it rejects; anything else that it throws is a fault. */
  run(bytes: Uint8Array): unknown;
}

/** An input takes no longer, on a slow machine with other work too. */
export const MAX_MS = 5_000;
/** No message is longer: a sentence with a few names and quotes of 200 characters. */
export const MAX_MESSAGE = 2_000;

/** An input that took too long, or a machine that did other work meanwhile. */
export class TooSlow extends Error {}

/** Runs a target. Throws for whatever is neither a result nor an error that may be shown. */
export async function probe(target: Target, input: Uint8Array): Promise<"accepted" | "rejected"> {
  const start = performance.now();
  const result = await outcome(target, input);
  const ms = performance.now() - start;
  if (ms > MAX_MS) throw new TooSlow(`an input of ${input.length} bytes took ${Math.round(ms)} ms`);
  return result;
}

async function outcome(target: Target, input: Uint8Array): Promise<"accepted" | "rejected"> {
  try {
    await target.run(input);
    return "accepted";
  } catch (error) {
    checkError(error);
    return "rejected";
  }
}

function checkError(error: unknown): void {
  if (!(error instanceof KelixError)) throw error;
  checkMessage(error.message, error);
  if (error.code === "internal")
    throw new Error(`the code is internal: ${error.message.slice(0, 500)}`, { cause: error });
}

/** Throws for a message that may not be shown. */
export function checkMessage(message: string, cause?: unknown): void {
  const fault =
    message.length > MAX_MESSAGE
      ? `has ${message.length} characters`
      : message.trim() === ""
        ? "is empty"
        : unprintable.test(message)
          ? "has characters that steer a terminal"
          : undefined;
  if (fault) throw new Error(`the message ${fault}: ${JSON.stringify(message.slice(0, 500))}`, { cause });
}

/** Control characters, ends of lines, and marks that turn the direction of text. */
const unprintable = /[\p{Cc}\u2028\u2029\u202a-\u202e\u2066-\u2069]/u;

/** Text as bytes. */
export function utf8(text: string): Uint8Array {
  return new TextEncoder().encode(text);
}

/** A value as the bytes of its JSON. */
export function json(value: unknown): Uint8Array {
  return utf8(JSON.stringify(value));
}

/** Throws where a reader and its writer do not agree. */
export function same(found: unknown, wanted: unknown, what: string): void {
  const [a, b] = [found, wanted].map((value) => JSON.stringify(value));
  if (a !== b) throw new Error(`${what}: ${a?.slice(0, 300)} is not ${b?.slice(0, 300)}`);
}
