// JSON files of a model's folder. They come from strangers, so each kind has a size beyond which it is not read.

import { absent, type ModelFiles, readWhole, refuseStrangers } from "../files/model-files.ts";
import { type JsonLimits, parseJson } from "./strict-json.ts";

/** A larger file is not a config. */
export const MAX_CONFIG_BYTES = 4_000_000;

/** The parsed file, or undefined where there is none. Throws a ModelError, naming it, when it cannot be used: see parseJson. */
export async function readJsonIfPresent(
  files: ModelFiles,
  path: string,
  maxBytes = MAX_CONFIG_BYTES,
  limits: JsonLimits = {},
): Promise<unknown> {
  const bytes = await readWhole(files, path, maxBytes);
  if (bytes === undefined) return undefined;
  refuseStrangers(bytes, files.nameOf(path));
  return parseJson(bytes, files.nameOf(path), limits);
}

/** As readJsonIfPresent, of a file that must be there. */
export async function readJson(
  files: ModelFiles,
  path: string,
  maxBytes = MAX_CONFIG_BYTES,
  limits: JsonLimits = {},
): Promise<unknown> {
  const value = await readJsonIfPresent(files, path, maxBytes, limits);
  if (value === undefined) throw absent(files.nameOf(path));
  return value;
}
