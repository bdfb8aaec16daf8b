// What a killed process leaves behind: temporary files and folders beside their final names. Their owner touches them while it
// works (a heartbeat, which holds across containers and machines as process numbers do not); the next writer removes the rest.

import { randomUUID } from "node:crypto";
import { opendir, rm, stat, utimes } from "node:fs/promises";
import { join } from "node:path";

/** After so long without a heartbeat the owner is taken for dead. */
export const STALE_MS = 10 * 60_000;

const HEARTBEAT_MS = 60_000;

/** Also matches the names of versions before 0.2: `.NAME.UUID.tmp`. */
const TEMPORARY = /^\.(kelix-[0-9a-f]{12}|.+\.[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12})\.(tmp|partial)$/;

/** A new name for something that is being written: short, so that every final name that the disk allows can be written. */
export function temporaryName(kind: "tmp" | "partial"): string {
  return `.kelix-${randomUUID().slice(-12)}.${kind}`;
}

/** Whether a name is that of a temporary file or folder. */
export function isTemporaryName(name: string): boolean {
  return TEMPORARY.test(name);
}

/** Removes the temporary files and folders in `folder` whose owner is dead. Never fails: they are not ours to insist on. */
export async function removeStale(folder: string, nowMs = Date.now()): Promise<void> {
  try {
    for await (const { name } of await opendir(folder)) {
      if (!isTemporaryName(name)) continue;
      const path = join(folder, name);
      const { mtimeMs } = await stat(path);
      if (nowMs - mtimeMs > STALE_MS) await rm(path, { recursive: true, force: true });
    }
  } catch {
    // Another process may have removed it first, or the folder may not be listed.
  }
}

/** Touches a temporary file or folder every minute until the returned function is called. */
export function heartbeat(path: string): () => void {
  const timer = setInterval(() => {
    const now = new Date();
    void utimes(path, now, now).catch(() => undefined);
  }, HEARTBEAT_MS);
  timer.unref();
  return () => clearInterval(timer);
}
