// Image codes in requests and answers: { grid, codes }, the form of /v1/images/tokenize. Every drawn image carries its codes, and a request
// may contain codes instead of an image file.

import * as z from "zod";
import type { CodeFields, CodesInput } from "../../vision/image-codes.ts";
import { badField } from "./api-error.ts";
import { check, integer } from "./fields.ts";
import { parseJson } from "./json.ts";
import type { Limits } from "./settings.ts";

export const codesFields = {
  grid: z.array(integer(1, 65_536), { error: "[rows, columns]" }).length(2, { error: "[rows, columns]" }),
  codes: z
    .array(integer(0, 65_535), { error: "a list of codes" })
    .min(1, { error: "a list of codes" })
    .describe("codes of each position in raster order, as returned by /v1/images/tokenize"),
};

export const codesSchema = z.looseObject(codesFields, { error: "codes { grid, codes }" });

/** Codes of a request, for the engine, which validates them against its model. */
export function codesInput({ grid, codes }: z.output<typeof codesSchema>): CodesInput {
  return { grid, codes };
}

/** Codes as JSON in a form field. Throws a 400 that names the field. */
export function readCodesText(text: string, param: string, limits: Limits): CodesInput {
  let value: unknown;
  try {
    value = parseJson(Buffer.from(text), limits);
  } catch {
    throw badField(param, `Expected \`${param}\` to be codes { grid, codes } in JSON`);
  }
  const schema = z.object({ [param]: codesSchema });
  return codesInput(check(schema, { [param]: value })[param]!);
}

/** Codes for an answer. */
export function codesOf({ grid, codes, width, height }: CodeFields) {
  return { grid, codes: [...codes], width, height };
}
