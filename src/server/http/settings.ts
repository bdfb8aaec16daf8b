// Settings of the HTTP side. The defaults suit one machine with a few users.

import type { Logger } from "pino";
import type { RemoteImages } from "./remote-image.ts";

export interface HttpSettings {
  /** The address to listen on. If it is a loopback address, Host headers are checked. */
  readonly host: string;
  /** Valid keys; if empty, no key is required. */
  readonly apiKeys: readonly string[];
  /** Allowed origins of web pages, such as "https://example.org"; "*" allows all. */
  readonly corsOrigins: readonly string[];
  /** How to fetch images by URL; if absent, they are not fetched. */
  readonly remoteImages?: RemoteImages;
  readonly limits: Limits;
  readonly log: Logger;
  /** Whether images carry receipts; true if absent. */
  readonly receipts?: boolean;
  /** Whether to log prompts. */
  readonly logPrompts: boolean;
}

export interface Limits {
  /** Of a request's body. */
  readonly bodyBytes: number;
  /** Of one image file. */
  readonly imageBytes: number;
  /** Images per request. */
  readonly images: number;
  /** Answers per request (`n`). */
  readonly choices: number;
  /** Nesting depth of JSON. */
  readonly jsonDepth: number;
  /** Number of JSON values. */
  readonly jsonValues: number;
  /** Time for an answer, including the wait in the queue; the engine's own limit if absent. */
  readonly requestMs?: number;
  /** Unsent bytes at which work for a slow reader pauses. */
  readonly unsentBytes: number;
  /** How long a client may not read at all. */
  readonly stallMs: number;
}

export const defaultLimits: Limits = {
  bodyBytes: 32 * 2 ** 20,
  imageBytes: 20 * 2 ** 20,
  images: 16,
  choices: 10,
  jsonDepth: 32,
  jsonValues: 500_000,
  unsentBytes: 2 ** 20,
  stallMs: 60_000,
};
