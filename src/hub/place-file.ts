// Puts a blob of the cache into a snapshot: by a symbolic link; by a hard link where those are not allowed, as on most Windows
// systems; where there is neither, as on exFAT and some network shares, by moving it, or by a copy if it is needed elsewhere too.

import { constants } from "node:fs";
import { copyFile, link, rename, rm, symlink } from "node:fs/promises";
import { dirname, relative } from "node:path";
import { sizeOf } from "./cache.ts";
import { newPartPath } from "./download.ts";
import { makeFolder } from "./make-folder.ts";

export interface Placement {
  /** The content's path. */
  readonly source: string;
  readonly path: string;
  readonly sizeBytes: number;
  /** The blob's path; a copy is written beside it first. */
  readonly blobPath: string;
  /** Whether nothing else needs the source. */
  readonly mayMove: boolean;
}

/** A copy's content is not verified here. */
export async function placeFile({ source, path, sizeBytes, blobPath, mayMove }: Placement): Promise<void> {
  await makeFolder(dirname(path));
  await rm(path, { force: true, recursive: true });
  const ways = [
    () => symlink(relative(dirname(path), source), path, "file"),
    () => link(source, path),
    () => (mayMove ? rename(source, path) : copyWhole(source, path, blobPath)),
  ];
  for (const [i, way] of ways.entries()) {
    try {
      await way();
      // Some file systems create dangling links.
      if ((await sizeOf(path)) === sizeBytes) return;
    } catch (error) {
      if (i === ways.length - 1) throw error;
    }
    await rm(path, { force: true });
  }
}

/** Copies a file atomically. */
async function copyWhole(source: string, path: string, blobPath: string): Promise<void> {
  const part = newPartPath(blobPath);
  try {
    await copyFile(source, part, constants.COPYFILE_FICLONE);
    await rename(part, path);
  } catch (error) {
    await rm(part, { force: true });
    throw error;
  }
}
