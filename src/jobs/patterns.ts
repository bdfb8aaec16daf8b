// Names with braces, as in shells and WebDataset: data/{000..999}.tar, {train,test}/{0..9}.parquet.

import { InputError, quote } from "../errors.ts";

/** Names per pattern. With ten thousand images each, that is ten billion images. */
const MAX_NAMES = 1_000_000;
/** Of all names of a pattern: a million of a hundred. */
const MAX_CHARACTERS = 100_000_000;
const RANGE = /^(\d{1,15})\.\.(\d{1,15})$/;

/** All names of a pattern, in order. Throws an InputError for braces that are not closed or hold neither a range nor a list. */
export function expandBraces(pattern: string): string[] {
  const parts = pattern.split(/(\{[^{}]*\})/);
  if (parts.some((part, i) => i % 2 === 0 && /[{}]/.test(part)))
    throw refuse(pattern, "its braces are nested, or one is not closed");
  let count = 1;
  const choices = parts.map((part, i) => {
    const own = i % 2 === 0 ? [part] : choicesOf(part.slice(1, -1), pattern);
    count *= own.length;
    if (count > MAX_NAMES) throw refuse(pattern, `it stands for more than ${MAX_NAMES / 1e6} million names`);
    return own;
  });
  if (count > 1 && count * pattern.length > MAX_CHARACTERS)
    throw refuse(pattern, `it stands for ${count} names that are too long together`);
  return choices.reduce((names, more) => names.flatMap((name) => more.map((part) => name + part)), [""]);
}

function choicesOf(inner: string, pattern: string): string[] {
  const [, first, last] = RANGE.exec(inner) ?? [];
  if (first === undefined || last === undefined) {
    if (inner.includes(",")) return inner.split(",");
    throw refuse(pattern, `expected a range such as {000..999} or a list such as {a,b}, got {${inner.slice(0, 40)}}`);
  }
  const [from, to] = [Number(first), Number(last)];
  if (to < from) throw refuse(pattern, `the range {${inner}} counts backwards`);
  if (to - from >= MAX_NAMES) throw refuse(pattern, `it stands for more than ${MAX_NAMES / 1e6} million names`);
  // As in shells, a leading zero means equal widths.
  const width = /^0\d|^0$/.test(first) && first.length === last.length ? first.length : 0;
  return Array.from({ length: to - from + 1 }, (_, i) => `${from + i}`.padStart(width, "0"));
}

function refuse(pattern: string, why: string): InputError {
  return new InputError(`${quote(pattern)}: ${why}`, { code: "invalid_option" });
}
