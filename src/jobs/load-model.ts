// Loads the model for shards, and hashes its files, so that manifests can tell models apart.

import { createHash } from "node:crypto";
import { stat } from "node:fs/promises";
import { isAbsolute, relative } from "node:path";
import { ModelError, quote } from "../errors.ts";
import { Kelix } from "../kelix.ts";
import type { LoadOptions } from "../options.ts";
import { listModelFiles } from "../output/listing.ts";
import type { ShardModel } from "./run-shard.ts";

/** Loads a model for shards. Throws a ModelError if it is not a folder on this machine, since its files cannot be hashed then. */
export async function loadShardModel(name: string, options: LoadOptions = {}): Promise<ShardModel> {
  // Nothing of earlier images is cached, so that a shard's output does not depend on what came before it.
  const kelix = await Kelix.load(name, { ...options, promptCacheBytes: 0 });
  try {
    return { kelix, hash: await hashModel(kelix, options.adapter) };
  } catch (error) {
    await kelix.dispose();
    throw error;
  }
}

/** SHA-256 over the names and hashes of all files in the model's folder, and of parts stored elsewhere. */
async function hashModel(kelix: Kelix, adapter: string | undefined): Promise<string> {
  const { path, parts } = kelix.info();
  const elsewhere = parts.map(({ folder }) => folder).filter((folder) => !isInside(folder, path));
  const folders = [path, ...new Set(elsewhere), ...(adapter === undefined ? [] : [adapter])];
  const hash = createHash("sha256");
  for (const folder of folders) {
    const info = await stat(folder).catch(() => undefined);
    if (!info?.isDirectory())
      throw new ModelError(
        `${quote(folder)}: corpus jobs take a model's folder, a repository of the Hub, or a built-in name`,
        { code: "unsupported_model" },
      );
    const { files } = await listModelFiles(folder);
    hash.update("folder\n");
    for (const { path: name, sha256 } of files) hash.update(`${name}\0${sha256}\n`);
  }
  return hash.digest("hex");
}

function isInside(path: string, folder: string): boolean {
  const way = relative(folder, path);
  return !way.startsWith("..") && !isAbsolute(way);
}
