// Terminal output and how commands end: results on stdout, everything else as lines on stderr. Imports nothing of the library,
// so that `kelix --version` is fast.

import { printable } from "./quote.ts";

export { printable };

/** Aborts on Ctrl-C; main.ts then exits with status 130. */
export const interrupted = new AbortController();

const atFirst = { isQuiet: false, isVerbose: false, hasFailed: false, outlivesReader: false };
const state = { ...atFirst };

/** Forgets what an earlier command of this process was told, and whether it failed. */
export function beginCommand(): void {
  Object.assign(state, atFirst);
}

/** --quiet and --verbose. */
export function setVoice(voice: { readonly quiet?: boolean; readonly verbose?: boolean }): void {
  state.isQuiet = voice.quiet ?? false;
  state.isVerbose = voice.verbose ?? false;
}

/** --verbose. */
export function isVerbose(): boolean {
  return state.isVerbose;
}

/** Whether something failed without ending the command, such as one image of many. */
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

/** Prints a status line on stderr if it is a terminal. */
export function note(text: string): void {
  if (process.stderr.isTTY) report(text);
}

/** Prints a status line on stderr, terminal or not: for hours of work that only its log shows. */
export function report(text: string): void {
  if (state.isQuiet) return;
  showProgress("");
  process.stderr.write(`${printable(text)}\n`);
}

/** Prints a line of a command's log on stdout, for a person or a file. */
export function say(text: string): void {
  if (!state.isQuiet) process.stdout.write(`${text}\n`);
}

/** Lets the command continue when its reader is gone. */
export function outliveReader(): void {
  state.outlivesReader = true;
}

/** Whether the command continues without a reader. */
export function outlivesReader(): boolean {
  return state.outlivesReader;
}

/** The longest message. */
const MAX_LINE = 1000;

/** Prints an error on one line of stderr, terminal or not. */
export function printFault(text: string): void {
  showProgress("");
  const line = printable(text.trim().replace(/:?\s*\n\s*/g, "; "));
  process.stderr.write(`kelix: ${line.length > MAX_LINE ? `${line.slice(0, MAX_LINE - 1)}…` : line}\n`);
}

/** The one value that --json prints. */
export function printJson(value: unknown): void {
  process.stdout.write(`${JSON.stringify(value)}\n`);
}
