// Prints facts in two columns on stdout.

import { shorten } from "../checkpoint/shorten.ts";
import { printable } from "./terminal.ts";

const FIRST_COLUMN = 34;

/** Prints one line per fact: name, then value. */
export function printTable(rows: readonly (readonly [name: string, value: string])[]): void {
  for (const [name, value] of rows) process.stdout.write(`${name.padEnd(FIRST_COLUMN)}${printable(value)}\n`);
}

/** The row of skipped config fields; none if there were none. */
export function skippedFields(fields: readonly string[]): [name: string, value: string][] {
  return fields.length === 0 ? [] : [["unknown fields, skipped", shorten(fields)]];
}
