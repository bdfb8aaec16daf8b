// Files from npm packages used in evaluation, checked by hash.

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

/** Reads a file of a cached package. Throws a FetchError if it is not the pinned file. */
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
      `${file}: differs from the file in ${source.package}@${source.version}. Remove ${folder} and try again`,
    );
  return new Uint8Array(bytes);
}
