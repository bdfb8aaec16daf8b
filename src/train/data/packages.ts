// npm packages that images are drawn from, each at a fixed version in the cache: packages/<folder>-<version>.
// They are fetched once with the ordinary npm client; install scripts never run.

import { readFile, rename, rm } from "node:fs/promises";
import { join } from "node:path";
import { installPackages } from "./npm.ts";

export interface CachedPackage {
  readonly package: string;
  readonly version: string;
  /** Name in the cache. */
  readonly folder: string;
}

/** Fetches what is not in the cache; an interrupted fetch leaves nothing under a final name. */
export async function fetchPackages(
  cache: string,
  packages: readonly CachedPackage[],
  log: (line: string) => void,
): Promise<void> {
  for (const wanted of packages) {
    const target = packageFolder(cache, wanted);
    if (await readFile(join(target, "package.json")).catch(() => undefined)) continue;
    log(`fetching ${wanted.package}@${wanted.version}`);
    const partial = `${target}.partial`;
    await rm(partial, { recursive: true, force: true });
    await installPackages(partial, [`${wanted.package}@${wanted.version}`]);
    await rename(join(partial, "node_modules", wanted.package), target);
    await rm(partial, { recursive: true, force: true });
  }
}

export function packageFolder(cache: string, { folder, version }: Pick<CachedPackage, "folder" | "version">): string {
  return join(cache, "packages", `${folder}-${version}`);
}
