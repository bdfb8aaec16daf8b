// Writes a file so that a reader sees the old content or the whole new one, never a part:
// into a temporary name in the same folder, flushed to the disk, then renamed.

import { randomUUID } from "node:crypto";
import { type FileHandle, open, rename, rm } from "node:fs/promises";
import { basename, dirname, join } from "node:path";

/** Replaces `path` by what `write` puts into the handle. If anything fails the temporary file is removed and `path` stays. */
export async function replaceFile(path: string, write: (file: FileHandle) => Promise<void>): Promise<void> {
  const temporary = join(dirname(path), `.${basename(path)}.${randomUUID()}.tmp`);
  const file = await open(temporary, "wx");
  try {
    try {
      await write(file);
      await file.sync();
    } finally {
      await file.close();
    }
    await rename(temporary, path);
  } catch (error) {
    await rm(temporary, { force: true });
    throw error;
  }
}

/** Writes all bytes at `position`, or where the handle stands; a single write call may stop early. */
export async function writeAll(file: FileHandle, bytes: Uint8Array, position?: number): Promise<void> {
  for (let start = 0; start < bytes.length; ) {
    const count = Math.min(bytes.length - start, MAX_WRITE_BYTES);
    const at = position === undefined ? null : position + start;
    start += (await file.write(bytes, start, count, at)).bytesWritten;
  }
}

/** Linux moves at most 2 GiB - 4 KiB in one call. */
const MAX_WRITE_BYTES = 2 ** 30;
