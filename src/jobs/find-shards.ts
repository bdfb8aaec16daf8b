// The shards that a user names: files, patterns, and folders. A folder stands for the shards in it; without any, it is a shard itself.

import { InputError, quote } from "../errors.ts";
import { publicUrl } from "../files/safe-url.ts";
import { expandBraces } from "./patterns.ts";
import { joinLocation, parseLocation, storageOf } from "./storage.ts";

export const SHARD_SUFFIX = /\.(tar|parquet|safetensors)$/i;

export interface FoundShard {
  readonly input: string;
  readonly name: string;
}

/** Throws an InputError if a folder does not exist, or if two shards would write the same output. */
export async function findShards(inputs: readonly string[]): Promise<FoundShard[]> {
  const found: FoundShard[] = [];
  for (const location of inputs.flatMap(expandBraces).map(parseLocation)) {
    if (SHARD_SUFFIX.test(location)) found.push({ input: location, name: nameOf(location) });
    else found.push(...(await shardsIn(location)));
  }
  const seen = new Map<string, string>();
  for (const { input, name } of found) {
    const other = seen.get(name);
    if (other !== undefined)
      throw new InputError(
        `${quote(publicUrl(other))} and ${quote(publicUrl(input))} would both be called ${quote(name)} in the output; give each an output of its own`,
        { code: "invalid_option" },
      );
    seen.set(name, input);
  }
  return found;
}

async function shardsIn(folder: string): Promise<FoundShard[]> {
  const entries = await (await storageOf(folder)).list(folder);
  if (!entries)
    throw new InputError(
      `${quote(publicUrl(folder))}: there is no such folder; a shard's file ends in .tar, .parquet or .safetensors (codes)`,
    );
  const files = entries.filter(({ name, isFolder }) => !isFolder && SHARD_SUFFIX.test(name));
  if (files.length === 0) return [{ input: folder, name: nameOf(folder) }];
  return files
    .map(({ name }) => ({ input: joinLocation(folder, name), name: nameOf(name) }))
    .sort((a, b) => (a.input < b.input ? -1 : 1));
}

function nameOf(location: string): string {
  const last = location.replace(/\/+$/, "").replace(/^.*\//, "");
  const name = last.replace(SHARD_SUFFIX, "");
  if (/^[^\\\0.][^\\\0]{0,199}$/.test(name)) return name;
  throw new InputError(`${quote(last)}: its output would have no usable name; rename it`, { code: "invalid_option" });
}
