// Makes a folder so that it has its name only when it is whole: everything is written into one beside it, which is then renamed.

import { randomUUID } from "node:crypto";
import { lstat, mkdir, open, rename, rm } from "node:fs/promises";
import { basename, dirname, join, resolve } from "node:path";

/**
 * The new folder `path` with what `write` puts into the folder that it is given. Throws when `path` exists. If anything
 * fails nothing is left; a process that is killed leaves a hidden folder beside it whose name ends in ".partial".
 */
export async function createFolder<T>(path: string, write: (folder: string) => Promise<T>): Promise<T> {
  if (await lstat(path).catch(() => undefined))
    throw new Error(`${path} exists already and is not written over: name a new folder, or remove it`);
  const parent = dirname(resolve(path));
  await mkdir(parent, { recursive: true });
  const partial = join(parent, `.${basename(resolve(path))}.${randomUUID()}.partial`);
  await mkdir(partial);
  try {
    const result = await write(partial);
    await flush(partial);
    await rename(partial, path);
    await flush(parent);
    return result;
  } catch (error) {
    await rm(partial, { recursive: true, force: true });
    throw error;
  }
}

/** Makes the names inside a folder last; not every system can. */
async function flush(folder: string): Promise<void> {
  const handle = await open(folder, "r");
  await handle.sync().catch(() => undefined);
  await handle.close();
}
