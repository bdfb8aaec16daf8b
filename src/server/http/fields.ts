// Fields that several routes take, and the check of a body: the first field that cannot be used is named, with what was wanted and what
// was given. Unknown fields pass, as clients send many; those with a meaning that this server cannot give them are rejected.

import * as z from "zod";
import { excerpt, quote } from "../../errors.ts";
import { ranges } from "../../options.ts";
import { badField } from "./api-error.ts";

export type Body = Readonly<Record<string, unknown>>;

export function integer(from: number, to: number) {
  const error = `an integer from ${from} to ${to}`;
  return z.int({ error }).min(from, { error }).max(to, { error });
}

export const text = z.string({ error: "a text" });
export const words = text.min(1, { error: "a text that is not empty" });
export const flag = z.boolean({ error: "true or false" });

/** One of these texts. */
export function oneOf<const T extends readonly string[]>(...values: T) {
  return z.enum(values, { error: values.map((value) => JSON.stringify(value)).join(" or ") });
}

export const modelField = { model: text.describe("an id of /v1/models; the first if absent").optional() };

export const samplingFields = {
  temperature: ranges.temperature.describe("0 always takes the most likely").optional(),
  top_p: ranges.topP.optional(),
  top_k: ranges.topK.describe("extension: sample from the k most likely; 0 means all").optional(),
  seed: z
    .int({ error: `an integer from 0 to ${Number.MAX_SAFE_INTEGER}` })
    .min(0, { error: `an integer from 0 to ${Number.MAX_SAFE_INTEGER}` })
    .describe("the same seed gives the same result; drawn at random if absent")
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

/** Fields that mean something this server cannot do: values that ask for nothing, and what to say to others. */
export type Unsupported = Readonly<Record<string, readonly [isHarmless: (value: unknown) => boolean, reason: string]>>;

/** What asks for nothing: false, 0, an empty text, list or object. */
export function isNothing(value: unknown): boolean {
  if (typeof value === "object" && value !== null) return Object.keys(value).length === 0;
  return !value;
}

export function is(...values: readonly unknown[]): (value: unknown) => boolean {
  return (value) => values.includes(value);
}

/** A body as its schema reads it; null counts as absent at the top. Throws a 400 that names a field. */
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

/** Of the forms that a field may have, the fault of the one that was meant: the one that got furthest. */
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
