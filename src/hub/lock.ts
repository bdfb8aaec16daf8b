// Keeps two processes, or two calls in one, from fetching the same repository at once. The Python library uses flock, which Node
// lacks, so neither sees the other's locks.

import { type LockOptions, waitForLock } from "./file-lock.ts";

/** Waits until `path` is free, holds it while `work` runs, and always releases it. `lost` aborts if another process took it. */
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
