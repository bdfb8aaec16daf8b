// Writes a file so that a reader sees the old content or the whole new one, never a part:
// into a temporary name in the same folder, flushed to the disk, then renamed.

import { chmod, rename, rm } from "node:fs/promises";
import { dirname, join, resolve } from "node:path";
import { OpenFile } from "../files/open-file.ts";
import { removeStale, temporaryName } from "./stale.ts";

/** What takes bytes one after the other. */
export interface WritableFile {
  /** Resolves with how many bytes went, which may be fewer. */
  write(bytes: Uint8Array, offset: number, length: number): Promise<{ readonly bytesWritten: number }>;
}

const sweptFolders = new Set<string>();

/**
 * Replaces `path` by what `write` puts into the file, which gets the permissions `mode` if they are given. If anything fails the
 * temporary file is removed and `path` stays. A link would be replaced, not followed: openOutput is for names from users.
 */
export async function replaceFile(
  path: string,
  write: (file: WritableFile) => Promise<void>,
  mode?: number,
): Promise<void> {
  const folder = dirname(resolve(path));
  if (!sweptFolders.has(folder)) await removeStale(folder);
  sweptFolders.add(folder);
  const temporary = join(folder, temporaryName("tmp"));
  const file = await OpenFile.open(temporary, "wx");
  try {
    try {
      await write(file);
      await file.sync();
    } finally {
      await file.close();
    }
    if (mode !== undefined) await chmod(temporary, mode);
    await rename(temporary, path);
  } catch (error) {
    await rm(temporary, { force: true });
    throw error;
  }
}

/** Writes all bytes after those before; a single write call may stop early. */
export async function writeAll(file: WritableFile, bytes: Uint8Array): Promise<void> {
  for (let start = 0; start < bytes.length; ) {
    start += (await file.write(bytes, start, Math.min(bytes.length - start, MAX_WRITE_BYTES))).bytesWritten;
  }
}

/** Linux moves at most 2 GiB - 4 KiB in one call. */
const MAX_WRITE_BYTES = 2 ** 30;
