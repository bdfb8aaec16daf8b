// The index of a sharded checkpoint, *.safetensors.index.json: which file holds which tensor. What it says is compared with what
// the shards hold. Two habits of the reference's distributed converter are accepted: shards numbered from 00000, and a
// `total_size` that is wrong; neither is read here.

import * as z from "zod";
import { ModelError, quote } from "../errors.ts";
import { isSideFile, type ModelFiles } from "../files/model-files.ts";
import { readJson } from "./json-file.ts";
import { parseConfig } from "./parse-config.ts";
import { MAX_TENSORS } from "./safetensors-header.ts";
import { shorten } from "./shorten.ts";

/** An index of 100,000 tensors has about 12 MB. */
const MAX_INDEX_BYTES = 100_000_000;

/** Shards lie beside their index: a name that leads elsewhere would read files that nobody named. */
const SHARD = /^[^/\\\0]+\.safetensors$/;

const indexSchema = z.object({ weight_map: z.record(z.string(), z.string()) });

/** Which file of the folder holds each tensor. */
export interface ShardIndex {
  /** Its own file's name. */
  readonly name: string;
  readonly holders: ReadonlyMap<string, string>;
  /** Names of the shards, sorted. */
  readonly shards: readonly string[];
}

/** The one of a folder's files that is an index; throws when there are several, of which none could be preferred. */
export function findIndex(folder: string, files: readonly string[]): string | undefined {
  const found = files.filter((file) => file.endsWith(".safetensors.index.json") && !isSideFile(file));
  if (found.length > 1) {
    throw new ModelError(`${folder}: has ${found.length} indices, ${found.join(" and ")}. Keep the one that counts`);
  }
  return found[0];
}

/** Reads an index; throws a ModelError that says what is wrong with it. */
export async function readShardIndex(files: ModelFiles, name: string): Promise<ShardIndex> {
  const json = await readJson(files, name, MAX_INDEX_BYTES, { maxKeys: MAX_TENSORS });
  const path = files.nameOf(name);
  const holders = new Map(Object.entries(parseConfig(indexSchema, json, path).weight_map));
  for (const [tensor, shard] of holders) {
    if (SHARD.test(shard)) continue;
    throw new ModelError(
      `${path}: says that ${quote(tensor)} lies in ${quote(shard)}, wanted the name of a *.safetensors file beside the index`,
    );
  }
  return { name, holders, shards: [...new Set(holders.values())].sort() };
}

/**
 * Compares an index with the names of the tensors in each shard that is there. Returns one sentence for each kind of
 * disagreement: shards that are not there, tensors that lie in another shard or in none, and tensors that it leaves out.
 */
export function findIndexFaults(index: ShardIndex, shards: ReadonlyMap<string, Iterable<string>>): string[] {
  const { name } = index;
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
