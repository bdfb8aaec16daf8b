// Errors as lines on the terminal, without what may be secret.

import { inspect } from "node:util";
import { KelixError, withoutSecrets } from "../index.ts";
import { isVerbose, noteFailure, printFault } from "./terminal.ts";

/** What went wrong, on one line of stderr. */
export function complain(text: string): void {
  printFault(withoutSecrets(text));
}

/** Complains of an error that does not end the command, whose exit status is then 1. */
export function complainOf(error: unknown, about?: string): void {
  noteFailure();
  if (isVerbose()) process.stderr.write(`${withoutSecrets(inspect(error))}\n`);
  else complain(about === undefined ? messageOf(error) : `${about}: ${messageOf(error)}`);
}

/** An error as a sentence for its user: what engines and libraries say is left to --verbose. */
export function messageOf(error: unknown): string {
  if (error instanceof KelixError || (error instanceof Error && error.constructor === Error && !("code" in error)))
    return error.message;
  const { name, code } = error instanceof Error ? (error as NodeJS.ErrnoException) : { name: typeof error, code: "" };
  return `Something went wrong inside Kelix (${code || name}); --verbose shows what, for a bug report`;
}
