// Terminal output and how commands end: results on stdout, everything else as lines on stderr. Imports only the library's
// errors, so that `kelix --version` is fast.

import { inspect } from "node:util";
import { KelixError, printable } from "../errors.ts";
import { withoutSecrets } from "../files/safe-url.ts";

export { printable };

/** Aborts on Ctrl-C; main.ts then exits with status 130. */
export const interrupted = new AbortController();

const state = { isQuiet: false, isVerbose: false, hasFailed: false, outlivesReader: false };

/** --quiet and --verbose. */
export function setVoice(voice: { readonly quiet?: boolean; readonly verbose?: boolean }): void {
  state.isQuiet = voice.quiet ?? false;
  state.isVerbose = voice.verbose ?? false;
}

/** Whether something failed without ending the command, such as one image of many. */
export function hasFailed(): boolean {
  return state.hasFailed;
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
export function complain(text: string): void {
  showProgress("");
  const line = printable(
    withoutSecrets(text)
      .trim()
      .replace(/:?\s*\n\s*/g, "; "),
  );
  process.stderr.write(`kelix: ${line.length > MAX_LINE ? `${line.slice(0, MAX_LINE - 1)}…` : line}\n`);
}

/** Reports an error that does not end the command; the exit status becomes 1. */
export function complainOf(error: unknown, about?: string): void {
  state.hasFailed = true;
  if (state.isVerbose) process.stderr.write(`${withoutSecrets(inspect(error))}\n`);
  else complain(about === undefined ? messageOf(error) : `${about}: ${messageOf(error)}`);
}

/** An error as a sentence for the user; messages of engines and libraries appear only with --verbose. */
export function messageOf(error: unknown): string {
  if (error instanceof KelixError || (error instanceof Error && error.constructor === Error && !("code" in error)))
    return error.message;
  const { name, code } = error instanceof Error ? (error as NodeJS.ErrnoException) : { name: typeof error, code: "" };
  return `Something went wrong inside Kelix (${code || name}); --verbose shows what, for a bug report`;
}

/** The one value that --json prints. */
export function printJson(value: unknown): void {
  process.stdout.write(`${JSON.stringify(value)}\n`);
}
