// Checks what a caller gives as options against their schema, before any work is done: one sentence names the option, what was
// wanted and what was given, and an unknown name is rejected with the name that was probably meant.

import type * as z from "zod";
import { excerpt, InputError, quote } from "./errors.ts";
import { findMeaning } from "./option-names.ts";
import { type Call, optionsOf } from "./options.ts";

/** Checked options, with their defaults. */
export type Settings<C extends Call> = z.output<(typeof optionsOf)[C]>;
export type LoadSettings = Settings<"load">;

/** The options of a call, checked, with their defaults. What is `undefined` counts as absent. */
export function readOptions<C extends Call>(call: C, given: unknown): Settings<C> {
  return checkOptions(call, optionsOf[call], given) as Settings<C>;
}

/** As readOptions, by the schema of a call that has its own. */
export function checkOptions<S extends z.ZodObject>(call: string, schema: S, given: unknown): z.output<S> {
  if (typeof given !== "object" || given === null || Array.isArray(given)) {
    throw new InputError(`Expected the options of \`${call}\` as an object, got ${quote(given)}`, CODE);
  }
  const options: Record<string, unknown> = {};
  // With `in`: a caller may derive options from others.
  for (const name in given) {
    const value = (given as Record<string, unknown>)[name];
    if (value === undefined) continue;
    if (!Object.hasOwn(schema.shape, name)) throw new InputError(unknownOption(call, schema, name), CODE);
    options[name] = value;
  }
  const { data, error } = schema.safeParse(options);
  if (error) {
    const [{ path, message }] = error.issues as [z.core.$ZodIssue];
    const name = String(path[0]);
    throw new InputError(`Expected \`${name}\` to be ${message}, got ${quote(options[name])}`, CODE);
  }
  return data;
}

const CODE = { code: "invalid_option" } as const;

function unknownOption(call: string, { shape }: z.ZodObject, name: string): string {
  const names = Object.keys(shape);
  const unknown = `Unknown option \`${excerpt(name)}\` of \`${call}\``;
  const other = (Object.keys(optionsOf) as Call[]).find((other) => Object.hasOwn(optionsOf[other].shape, name));
  if (other) return `${unknown}; it is one of \`${other}\``;
  return `${unknown}; ${findMeaning(name, names) ?? `there are ${names.join(", ")}`}`;
}
