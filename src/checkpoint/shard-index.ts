// The index of a sharded checkpoint, *.safetensors.index.json: which file holds which tensor. What it says is compared with what
// the shards hold. Two habits of the reference's distributed converter are let pass: shards numbered from 00000, and a
// `total_size` that is wrong; neither is read here.

import { basename } from "node:path";
import { z } from "zod";
import { ModelError } from "../errors.ts";

import { readJson } from "./json-file.ts";

/** An index of 100,000 tensors has about 12 MB. */
const MAX_INDEX_BYTES = 100_000_000;

/** Shards lie beside their index: a name that leads elsewhere would read files that nobody named. */
const SHARD = /^[^/\\]+\.safetensors$/;

const indexSchema = z.object({
  weight_map: z.record(
    z.string(),
    z.string().regex(SHARD, "expected the name of a *.safetensors file beside the index"),
  ),
});

/** Which file of the folder holds each tensor. */
export interface ShardIndex {
  readonly path: string;
  readonly holders: ReadonlyMap<string, string>;
  /** Names of the shards, sorted. */
  readonly shards: readonly string[];
}

/** The one of a folder's files that is an index; throws when there are several, of which none could be preferred. */
export function findIndex(folder: string, files: readonly string[]): string | undefined {
  const found = files.filter((file) => file.endsWith(".safetensors.index.json"));
  if (found.length > 1) {
    throw new ModelError(`${folder}: has ${found.length} indices, ${found.join(" and ")}. Keep the one that counts`);
  }
  return found[0];
}

/** Reads an index; throws a ModelError that says what is wrong with it. */
export async function readShardIndex(path: string): Promise<ShardIndex> {
  const result = indexSchema.safeParse(await readJson(path, MAX_INDEX_BYTES));
  if (!result.success) {
    throw new ModelError(`${path}: is no index of shards: ${z.prettifyError(result.error)}`);
  }
  const holders = new Map(Object.entries(result.data.weight_map));
  return { path, holders, shards: [...new Set(holders.values())].sort() };
}

/**
 * Compares an index with the names of the tensors in each shard that is there. Returns one sentence for each kind of
 * disagreement: shards that are not there, tensors that lie in another shard or in none, and tensors that it leaves out.
 */
export function findIndexFaults(index: ShardIndex, shards: ReadonlyMap<string, Iterable<string>>): string[] {
  const name = basename(index.path);
  const found = new Map<string, string[]>();
  for (const [shard, tensors] of shards) {
    for (const tensor of tensors) found.set(tensor, [...(found.get(tensor) ?? []), shard]);
  }
  const absent = index.shards.filter((shard) => !shards.has(shard));
  const astray = [...index.holders].filter(([tensor, shard]) => {
    return shards.has(shard) && !found.get(tensor)?.includes(shard);
  });
  const unlisted = [...found.keys()].filter((tensor) => !index.holders.has(tensor));
  const describeAstray = ([tensor, shard]: readonly [string, string]) =>
    `${tensor} (${shard} was named, ${found.get(tensor)?.join(" and ") ?? "no shard"} has it)`;
  return [
    absent.length ? `${absent.length} of ${index.shards.length} shards are missing: ${shorten(absent)}` : "",
    astray.length ? `${name} names the wrong shard for ${shorten(astray.map(describeAstray))}` : "",
    unlisted.length ? `${name} does not list ${shorten(unlisted)}` : "",
  ].filter((fault) => fault !== "");
}

/** Names in a message: more than these help nobody. */
const MAX_NAMES = 20;

/** A list in words, cut after so many names, the rest as a count. */
export function shorten(names: readonly string[]): string {
  const shown = names.slice(0, MAX_NAMES).join(", ");
  return names.length > MAX_NAMES ? `${shown} and ${names.length - MAX_NAMES} more` : shown;
}
