// What an operator may set about the HTTP side, with defaults for one machine and a few users.

import type { Logger } from "pino";
import type { RemoteImages } from "./remote-image.ts";

export interface HttpSettings {
  /** The address that is listened at; names of the Host header are checked where it is a loopback one. */
  readonly host: string;
  /** Those who may ask; everybody if empty. */
  readonly apiKeys: readonly string[];
  /** Pages that may ask from a browser, such as "https://example.org"; "*" is all. */
  readonly corsOrigins: readonly string[];
  /** How images are fetched by URL; none are if absent. */
  readonly remoteImages?: RemoteImages;
  readonly limits: Limits;
  readonly log: Logger;
  /** Whether images carry what they were drawn with; they do if absent. */
  readonly receipts?: boolean;
  /** Whether the log has what clients wrote. */
  readonly logPrompts: boolean;
}

export interface Limits {
  /** Of a request, compressed or not. */
  readonly bodyBytes: number;
  /** Of one image's file. */
  readonly imageBytes: number;
  /** Images in one request. */
  readonly images: number;
  /** Answers of one request, `n`. */
  readonly choices: number;
  /** Levels of lists and objects in JSON. */
  readonly jsonDepth: number;
  /** Lists, objects and their entries in JSON. */
  readonly jsonValues: number;
  /** From a request's last byte to its answer's last, the wait in the queue included; the engine's own limit if absent. */
  readonly requestMs?: number;
  /** Bytes that a slow reader may leave unsent before its work pauses. */
  readonly unsentBytes: number;
  /** How long a reader may take nothing at all. */
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
