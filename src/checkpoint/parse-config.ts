// Checks what a config.json (or a part of one) holds against its schema, and says in our own sentences what is wrong. Each model's
// schema stands beside its model; objects in it are strict, so that a field it does not know is noticed.

import * as z from "zod";
import { type ErrorCode, ModelError, quote } from "../errors.ts";
import { shorten } from "./shorten.ts";

/** Told of fields that the schema does not know, as paths ("qwen_config.new_field"), which are then skipped. */
export type OnUnknown = (fields: readonly string[]) => void;

/** A field that has no bearing on the values. */
export const ignored = z.unknown().optional();

/** A field of which one value alone is supported, which is its default. */
export const only = <const T extends boolean | null | string>(value: T) => z.literal(value).default(value as never);

/** With so many unknown fields it is not a later version's config, but something else. */
const MAX_UNKNOWN = 1000;

/**
 * The checked value with defaults filled in. Throws one ModelError that begins with `what` (the file's path) and names every field
 * that is wrong; its code is `unsupported_model` where the values are understood but not supported. A config of a released
 * model may have fields of a later version: `onUnknown` is told of them; without it they are rejected as what they usually
 * are in a config of one's own, typing errors.
 */
export function parseConfig<T extends z.ZodType>(
  schema: T,
  value: unknown,
  what: string,
  onUnknown?: OnUnknown,
): z.output<T> {
  const first = schema.safeParse(value, { reportInput: true });
  if (first.success) return first.data;
  const unknown = first.error.issues.filter((issue) => issue.code === "unrecognized_keys");
  if (unknown.length === 0 || !onUnknown) throw refuse(first.error, what);
  const fields = unknown.flatMap(({ path, keys }) => keys.map((key) => nameField([...path, key])));
  if (fields.length > MAX_UNKNOWN) {
    throw new ModelError(
      `${what}: ${fields.length} of its fields are unknown, such as ${shorten(fields, 3)}. Is it a config?`,
    );
  }
  // Without them the schema's own comparisons run, which had to wait.
  const known = unknown.reduce<unknown>((rest, { path, keys }) => withoutKeys(rest, path, new Set(keys)), value);
  const second = schema.safeParse(known, { reportInput: true });
  if (!second.success) throw refuse(second.error, what);
  onUnknown(fields);
  return second.data;
}

function refuse(error: z.ZodError, what: string): ModelError {
  const code: ErrorCode = error.issues.every(isUnsupported) ? "unsupported_model" : "invalid_model";
  return new ModelError(`${what}: ${describeIssues(error)}`, { code });
}

/** A copy in which the object at `path` lacks some keys. */
function withoutKeys(value: unknown, path: readonly PropertyKey[], keys: ReadonlySet<string>): unknown {
  // zod has walked this path through objects and lists.
  const entries = Object.entries(value as object);
  const [step, ...rest] = path;
  if (step === undefined) return Object.fromEntries(entries.filter(([key]) => !keys.has(key)));
  const changed = entries.map(([key, inner]) => [key, key === String(step) ? withoutKeys(inner, rest, keys) : inner]);
  return Array.isArray(value) ? changed.map(([, inner]) => inner) : Object.fromEntries(changed);
}

type Issue = z.core.$ZodIssue;

/** A valid value that is not supported. */
function isUnsupported(issue: Issue): boolean {
  if (issue.code === "custom") return issue.params?.unsupported === true;
  return issue.code === "invalid_value" && issue.values.some((value) => typeof value === typeof issue.input);
}

/** Details of a `custom` issue about a value that is understood but not supported. */
export const unsupported = { params: { unsupported: true } } as const;

/** Faults listed in one message: a reader fixes the first and tries again. */
const MAX_ISSUES = 5;

/** What is wrong, in one sentence: "data.side is 17, wanted a multiple of 8; steps is missing". */
export function describeIssues({ issues }: z.ZodError): string {
  const texts = [...new Set(issues.map(describeIssue))];
  const shown = texts.slice(0, MAX_ISSUES).join("; ");
  return texts.length > MAX_ISSUES ? `${shown}; and ${texts.length - MAX_ISSUES} more` : shown;
}

function describeIssue(issue: Issue): string {
  if (issue.code === "unrecognized_keys") {
    const names = issue.keys.map((key) => nameField([...issue.path, key]));
    return `unknown field${names.length > 1 ? "s" : ""} ${shorten(names, MAX_ISSUES)}`;
  }
  const field = issue.path.length === 0 ? "" : `${nameField(issue.path)} `;
  if (issue.code === "custom") return `${field}${issue.message}`;
  if (issue.input === undefined) return `${field}is missing`;
  const found = `${field || "it "}is ${quote(issue.input)}`;
  if (isUnsupported(issue)) return `${found}, which is not supported: ${wanted(issue)}`;
  return `${found}, wanted ${wanted(issue)}`;
}

function wanted(issue: Issue): string {
  switch (issue.code) {
    case "invalid_type":
      return typeNames[issue.expected] ?? issue.expected;
    case "invalid_value":
      return `${issue.values.length === 1 ? "only" : "one of"} ${issue.values.map((value) => quote(value)).join(", ")}`;
    case "too_small":
      return limit(issue, issue.minimum, issue.inclusive ? "at least" : "more than");
    case "too_big":
      return limit(issue, issue.maximum, issue.inclusive ? "at most" : "less than");
    case "not_multiple_of":
      return `a multiple of ${issue.divisor}`;
    case "invalid_union":
      return issue.errors.flatMap((inner) => inner.slice(0, 1).map(wanted)).join(" or ");
    default:
      return "another value";
  }
}

function limit(
  { origin, exact }: z.core.$ZodIssueTooSmall | z.core.$ZodIssueTooBig,
  size: number | bigint,
  bound: string,
) {
  const unit = origin === "array" ? " entries" : origin === "string" ? " characters" : "";
  return `${exact ? "exactly" : bound} ${size}${unit}`;
}

const typeNames: Readonly<Partial<Record<string, string>>> = {
  int: "a whole number",
  number: "a number",
  string: "a text",
  boolean: "true or false",
  object: "an object",
  record: "an object",
  array: "a list",
  tuple: "a list",
};

/** Characters of a field's name in a message. */
const MAX_FIELD = 200;

function nameField(path: readonly PropertyKey[]): string {
  const name = path.map(String).join(".");
  return name.length > MAX_FIELD ? `${name.slice(0, MAX_FIELD)}…` : name;
}
