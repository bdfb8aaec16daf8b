// JSON files of a model's folder. They come from strangers, so each kind has a size beyond which it is not read.

import { excerpt, ModelError } from "../errors.ts";
import { readPlainFile, refuseStrangers } from "../files/plain-file.ts";
import { type JsonLimits, parseJson } from "./strict-json.ts";

/** A config beyond this is no config. */
export const MAX_CONFIG_BYTES = 4_000_000;

/** The parsed file, or undefined where there is none. Throws a ModelError, naming it, when it cannot be used: see parseJson. */
export async function readJsonIfPresent(
  path: string,
  maxBytes = MAX_CONFIG_BYTES,
  limits: JsonLimits = {},
): Promise<unknown> {
  const bytes = await readPlainFile(path, maxBytes);
  if (bytes === undefined) return undefined;
  refuseStrangers(bytes, path);
  return parseJson(bytes, path, limits);
}

/** As readJsonIfPresent, of a file that must be there. */
export async function readJson(path: string, maxBytes = MAX_CONFIG_BYTES, limits: JsonLimits = {}): Promise<unknown> {
  const value = await readJsonIfPresent(path, maxBytes, limits);
  if (value === undefined) throw new ModelError(`${excerpt(path)}: cannot be read: there is no such file`);
  return value;
}
