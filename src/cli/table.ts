// Facts in two columns on stdout.

import { shorten } from "../checkpoint/shorten.ts";
import { printable } from "./terminal.ts";

const FIRST_COLUMN = 34;

/** Prints a line for each fact: what it is, then what is known of it. */
export function printTable(rows: readonly (readonly [name: string, value: string])[]): void {
  for (const [name, value] of rows) process.stdout.write(`${name.padEnd(FIRST_COLUMN)}${printable(value)}\n`);
}

/** The row that names the fields of a model's configs that were skipped; none where there were none. */
export function skippedFields(fields: readonly string[]): [name: string, value: string][] {
  return fields.length === 0 ? [] : [["unknown fields, skipped", shorten(fields)]];
}
