// Files of npm packages that evaluation reads, checked by their hashes.

import { createHash } from "node:crypto";
import { readFile } from "node:fs/promises";
import { join } from "node:path";
import { FetchError } from "../errors.ts";
import { type CachedPackage, packageFolder } from "../train/data/packages.ts";

export interface PinnedFile {
  /** In the package. */
  readonly path: string;
  readonly sha256: string;
}

/** Reads a file of a package in the cache. Throws a FetchError where it is not the file that was pinned. */
export async function readPinned(
  cacheFolder: string,
  source: CachedPackage,
  { path, sha256 }: PinnedFile,
): Promise<Uint8Array> {
  const folder = packageFolder(cacheFolder, source);
  const file = join(folder, path);
  const bytes = await readFile(file);
  if (createHash("sha256").update(bytes).digest("hex") !== sha256)
    throw new FetchError(
      `${file}: is not the file that ${source.package}@${source.version} has. Remove ${folder} and try again`,
    );
  return new Uint8Array(bytes);
}
