// Checks settings from a user's file against a schema. Every valid field is known, so an unknown one is a typo, and the
// message suggests which was meant.

import * as z from "zod";
import { parseConfig } from "../checkpoint/parse-config.ts";
import { InputError, quote } from "../errors.ts";
import { nearestName } from "../option-names.ts";

/** The name of a file or folder. */
export const pathSchema = z
  .string()
  .min(1)
  .max(4096)
  .refine((path) => !path.includes("\0"), "has a NUL character, which paths cannot contain");

/** The checked value with defaults filled in. Throws an InputError that starts with `where`: a file, or part of one. */
export function parseSettings<T extends z.ZodType>(schema: T, value: unknown, where: string): z.output<T> {
  try {
    return parseConfig(schema, value, where);
  } catch (cause) {
    throw new InputError(`${(cause as Error).message}${suggest(schema, value)}`, { cause });
  }
}

/** Suggestions for unknown fields, as the end of a sentence. */
function suggest(schema: z.ZodType, value: unknown): string {
  const issues = schema.safeParse(value).error?.issues ?? [];
  const unknown = issues.flatMap((issue) => (issue.code === "unrecognized_keys" ? [issue] : []));
  const meant = unknown.flatMap(({ keys, path }) => {
    const known = fieldsAt(schema, path);
    return keys.slice(0, MAX_SUGGESTIONS).flatMap((key) => {
      const field = nearestName(key, known);
      return field === undefined ? [] : [`for ${quote(key)} did you mean ${quote(field)}?`];
    });
  });
  return meant.length === 0 ? "" : `; ${meant.slice(0, MAX_SUGGESTIONS).join(" ")}`;
}

const MAX_SUGGESTIONS = 3;

/** The fields of the object that a path leads to. */
function fieldsAt(schema: z.ZodType, path: readonly PropertyKey[]): string[] {
  let at: unknown = unwrap(schema);
  for (const key of path) at = unwrap(at instanceof z.ZodObject ? at.shape[String(key)] : undefined);
  return at instanceof z.ZodObject ? Object.keys(at.shape) : [];
}

/** The schema under defaults and optional wrappers. */
function unwrap(schema: unknown): unknown {
  const { def } = (schema ?? {}) as { def?: { innerType?: unknown } };
  return def?.innerType === undefined ? schema : unwrap(def.innerType);
}
