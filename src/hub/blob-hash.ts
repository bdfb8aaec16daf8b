// The hash that names a blob in the cache.

import { createHash } from "node:crypto";
import type { OpenFile } from "../files/open-file.ts";

const READ_BYTES = 1 << 20;

/**
 * Hash of a file on disk: SHA-256 for large files, git's SHA-1 (which prepends the size) for small ones. The form of `name`
 * decides which.
 */
export async function hashFile(file: OpenFile, name: string, signal?: AbortSignal): Promise<string> {
  const { size } = await file.stat();
  const hash = name.length === 64 ? createHash("sha256") : createHash("sha1").update(`blob ${size}\0`);
  const buffer = Buffer.alloc(Math.min(READ_BYTES, Math.max(size, 1)));
  for (let position = 0; ; ) {
    signal?.throwIfAborted();
    const { bytesRead } = await file.read(buffer, 0, buffer.length, position);
    if (bytesRead === 0) return hash.digest("hex");
    hash.update(buffer.subarray(0, bytesRead));
    position += bytesRead;
  }
}
