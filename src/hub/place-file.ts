// Makes a content of the cache appear in a snapshot: by a symbolic link; by a hard link where those are not allowed, as on most Windows;
// and where the file system has neither, as exFAT and some network shares, by moving it there, or by a copy if it is needed elsewhere too.

import { constants } from "node:fs";
import { copyFile, link, rename, rm, symlink } from "node:fs/promises";
import { dirname, relative } from "node:path";
import { sizeOf } from "./cache.ts";
import { newPartPath } from "./download.ts";
import { makeFolder } from "./make-folder.ts";

export interface Placement {
  /** Where the content lies. */
  readonly source: string;
  readonly path: string;
  readonly sizeBytes: number;
  /** Of the content; a copy grows beside it. */
  readonly blobPath: string;
  /** Whether nobody else needs the source. */
  readonly mayMove: boolean;
}

/** The content of a copy is not checked here. */
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
      // Some file systems make links that lead nowhere.
      if ((await sizeOf(path)) === sizeBytes) return;
    } catch (error) {
      if (i === ways.length - 1) throw error;
    }
    await rm(path, { force: true });
  }
}

/** A copy that has its name when it is whole. */
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
