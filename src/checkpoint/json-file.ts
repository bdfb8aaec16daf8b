// JSON files of a model's folder. They come from strangers, so each kind has a size beyond which it is not read.

import { open } from "node:fs/promises";
import { ModelError } from "../errors.ts";

/** A config beyond this is no config. */
export const MAX_CONFIG_BYTES = 4_000_000;

/** The parsed file, or undefined where there is none. Throws a ModelError, naming it, when it is too large or not JSON. */
export async function readJsonIfPresent(path: string, maxBytes = MAX_CONFIG_BYTES): Promise<unknown> {
  const file = await open(path).catch((error: NodeJS.ErrnoException) => {
    if (error.code === "ENOENT" || error.code === "ENOTDIR") return undefined;
    throw new ModelError(`${path}: cannot be read (${error.code})`, { cause: error });
  });
  if (!file) return undefined;
  try {
    const info = await file.stat();
    if (!info.isFile()) throw new ModelError(`${path}: is not a file`);
    if (info.size > maxBytes) {
      throw new ModelError(`${path} has ${info.size} bytes; at most ${maxBytes} are read`);
    }
    return JSON.parse(await file.readFile("utf8")) as unknown;
  } catch (error) {
    if (error instanceof ModelError) throw error;
    throw new ModelError(`${path}: is not JSON: ${(error as Error).message}`, { cause: error });
  } finally {
    await file.close();
  }
}

/** As readJsonIfPresent, of a file that must be there. */
export async function readJson(path: string, maxBytes = MAX_CONFIG_BYTES): Promise<unknown> {
  const value = await readJsonIfPresent(path, maxBytes);
  if (value === undefined) throw new ModelError(`${path}: cannot be read (ENOENT)`);
  return value;
}
