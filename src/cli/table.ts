// Prints facts in two columns on stdout.

import { excerpt } from "./quote.ts";
import { printable } from "./terminal.ts";

const FIRST_COLUMN = 34;
/** More names than these help nobody. */
const MAX_FIELDS = 20;

/** Prints one line per fact: name, then value. */
export function printTable(rows: readonly (readonly [name: string, value: string])[]): void {
  for (const [name, value] of rows) process.stdout.write(`${name.padEnd(FIRST_COLUMN)}${printable(value)}\n`);
}

/** The row of skipped config fields; none if there were none. */
export function skippedFields(fields: readonly string[]): [name: string, value: string][] {
  if (fields.length === 0) return [];
  const more = fields.length > MAX_FIELDS ? ` and ${fields.length - MAX_FIELDS} more` : "";
  return [["unknown fields, skipped", fields.slice(0, MAX_FIELDS).map(excerpt).join(", ") + more]];
}
