// Checks what a config.json (or a part of one) holds against its schema. Each model's schema stands beside its model.

import { z } from "zod";

/** The checked value with defaults filled in; throws one message that names every field that is wrong. `what` opens it. */
export function parseConfig<T extends z.ZodType>(schema: T, value: unknown, what: string): z.output<T> {
  const result = schema.safeParse(value);
  if (!result.success) throw new Error(`${what} cannot be used:\n${z.prettifyError(result.error)}`);
  return result.data;
}
