// Keeps two processes, or two calls of one, from fetching the same repository at once. The Python library locks with flock, which Node
// lacks, so the two do not see each other's.

import { type LockOptions, waitForLock } from "./file-lock.ts";

/** Waits until `path` is free, holds it while `work` runs, and frees it whatever happens. `lost` is aborted if another took it. */
export async function withLock<T>(
  path: string,
  options: LockOptions,
  work: (lost: AbortSignal) => Promise<T>,
): Promise<T> {
  const lock = await waitForLock(path, options);
  try {
    return await work(lock.lost);
  } finally {
    await lock.release();
  }
}
