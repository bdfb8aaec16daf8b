// Fields shared by several routes, and the validation of bodies. The first invalid field is named, with the expected and the given value.
// Unknown fields are ignored, since clients send many; known fields that this server does not support are rejected.

import * as z from "zod";
import { excerpt, quote } from "../../errors.ts";
import { ranges } from "../../options.ts";
import { badField } from "./api-error.ts";

export type Body = Readonly<Record<string, unknown>>;

export function integer(from: number, to: number) {
  const error = `an integer from ${from} to ${to}`;
  return z.int({ error }).min(from, { error }).max(to, { error });
}

export const text = z.string({ error: "a string" });
export const words = text.min(1, { error: "a non-empty string" });
export const flag = z.boolean({ error: "true or false" });

/** One of these strings. */
export function oneOf<const T extends readonly string[]>(...values: T) {
  return z.enum(values, { error: values.map((value) => JSON.stringify(value)).join(" or ") });
}

export const modelField = { model: text.describe("a model id from /v1/models; the first if absent").optional() };

export const samplingFields = {
  temperature: ranges.temperature.describe("0 always picks the most likely token").optional(),
  top_p: ranges.topP.optional(),
  top_k: ranges.topK.describe("extension: sample from the k most likely tokens; 0 means all").optional(),
  seed: z
    .int({ error: `an integer from 0 to ${Number.MAX_SAFE_INTEGER}` })
    .min(0, { error: `an integer from 0 to ${Number.MAX_SAFE_INTEGER}` })
    .describe("the same seed gives the same result; random if absent")
    .optional(),
};

export const drawingFields = {
  num_inference_steps: integer(1, 200).describe("extension: steps of the sampler").optional(),
  guidance_scale: z
    .number({ error: "a number from 0 to 20" })
    .min(0, { error: "a number from 0 to 20" })
    .max(20, { error: "a number from 0 to 20" })
    .describe("extension: classifier-free guidance; 1 is none")
    .optional(),
};

/** Unsupported fields: which values are harmless, and the reason to give for others. */
export type Unsupported = Readonly<Record<string, readonly [isHarmless: (value: unknown) => boolean, reason: string]>>;

/** Values without effect: false, 0, an empty string, list or object. */
export function isNothing(value: unknown): boolean {
  if (typeof value === "object" && value !== null) return Object.keys(value).length === 0;
  return !value;
}

export function is(...values: readonly unknown[]): (value: unknown) => boolean {
  return (value) => values.includes(value);
}

/** Parses a body with its schema. Top-level nulls count as absent. Throws a 400 that names the field. */
export function check<T extends z.ZodType>(schema: T, body: Body, unsupported: Unsupported = {}): z.output<T> {
  const given = Object.fromEntries(Object.entries(body).filter(([, value]) => value !== null));
  for (const [name, [isHarmless, reason]] of Object.entries(unsupported)) {
    if (!Object.hasOwn(given, name) || isHarmless(given[name])) continue;
    throw badField(name, `\`${name}\` is not supported: ${reason}`, "unsupported_value");
  }
  const { data, error } = schema.safeParse(given);
  if (!error) return data;
  const { path, message } = deepest(error.issues[0]!);
  let value: unknown = given;
  for (const key of path) value = (value as Record<PropertyKey, unknown> | undefined)?.[key];
  const name = excerpt(
    path.map((key, i) => (typeof key === "number" ? `[${key}]` : `${i ? "." : ""}${String(key)}`)).join(""),
  );
  throw badField(name, `Expected \`${name}\` to be ${message}, got ${value === undefined ? "nothing" : quote(value)}`);
}

/** For a field with several forms, the error of the one that was probably meant: the one that got furthest. */
function deepest(issue: z.core.$ZodIssue): { readonly path: readonly PropertyKey[]; readonly message: string } {
  const { path, message } = issue;
  if (issue.code !== "invalid_union") return { path, message };
  const inner = issue.errors.flatMap((issues) => issues.slice(0, 1).map(deepest));
  const best = inner.reduce((a, b) => (b.path.length > a.path.length ? b : a), {
    path: [] as readonly PropertyKey[],
    message,
  });
  return best.path.length > 0 ? { path: [...path, ...best.path], message: best.message } : { path, message };
}
