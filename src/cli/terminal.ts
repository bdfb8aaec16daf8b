// Lines on the terminal, and what ends a command: results on stdout, everything else on one line of stderr. Imports nothing of the
// library, so that `kelix --version` is quick.

import { readFileSync } from "node:fs";
import { printable } from "./quote.ts";

export { printable };

/** Aborts at Ctrl-C; main.ts then ends with status 130. */
export const interrupted = new AbortController();

const state = { isQuiet: false, isVerbose: false, hasFailed: false, outlivesReader: false };

/** --quiet and --verbose. */
export function setVoice(voice: { readonly quiet?: boolean; readonly verbose?: boolean }): void {
  state.isQuiet = voice.quiet ?? false;
  state.isVerbose = voice.verbose ?? false;
}

/** --verbose. */
export function isVerbose(): boolean {
  return state.isVerbose;
}

/** Whether something went wrong that did not end the command, such as one image of many. */
export function hasFailed(): boolean {
  return state.hasFailed;
}

/** Makes the exit status 1. */
export function noteFailure(): void {
  state.hasFailed = true;
}

/** Overwrites one line of a terminal's stderr; prints nothing elsewhere. */
export function showProgress(text: string): void {
  if (process.stderr.isTTY && !state.isQuiet) process.stderr.write(`\r\x1b[K${text}`);
}

/** A line of news on a terminal's stderr. */
export function note(text: string): void {
  if (process.stderr.isTTY) report(text);
}

/** A line of news on stderr, whatever that is: for work of hours, whose log is all there is to see of it. */
export function report(text: string): void {
  if (state.isQuiet) return;
  showProgress("");
  process.stderr.write(`${printable(text)}\n`);
}

/** A line of a command's own log on stdout, which may be for somebody who watches, or a file. */
export function say(text: string): void {
  if (!state.isQuiet) process.stdout.write(`${text}\n`);
}

/** Makes the command go on when nobody reads its output any more. */
export function outliveReader(): void {
  state.outlivesReader = true;
}

/** Whether the command goes on without a reader. */
export function outlivesReader(): boolean {
  return state.outlivesReader;
}

/** No message is longer. */
const MAX_LINE = 1000;

/** What went wrong, on one line of stderr whatever that is. */
export function printFault(text: string): void {
  showProgress("");
  const line = printable(text.trim().replace(/:?\s*\n\s*/g, "; "));
  process.stderr.write(`kelix: ${line.length > MAX_LINE ? `${line.slice(0, MAX_LINE - 1)}…` : line}\n`);
}

/** The one value that --json prints. */
export function printJson(value: unknown): void {
  process.stdout.write(`${JSON.stringify(value)}\n`);
}

/** Of Kelix. */
export function packageVersion(): string {
  const text = readFileSync(new URL("../../package.json", import.meta.url), "utf8");
  return (JSON.parse(text) as { version: string }).version;
}
