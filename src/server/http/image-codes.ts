// Codes of images in requests and answers: { grid, codes }, as /v1/images/tokenize gives them. Every image that the model draws carries its
// own, and a request may give them in place of the image's file.

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
    .describe("codes of each position in raster order, as /v1/images/tokenize gives them"),
};

export const codesSchema = z.looseObject(codesFields, { error: "codes { grid, codes }" });

/** Codes as a request has them, for the engine, which checks them against its model. */
export function codesInput({ grid, codes }: z.output<typeof codesSchema>): CodesInput {
  return { grid, codes };
}

/** Codes in JSON, as a field of a form has them. Throws a 400 that names the field. */
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

/** Codes as answers have them. */
export function codesOf({ grid, codes, width, height }: CodeFields) {
  return { grid, codes: [...codes], width, height };
}
