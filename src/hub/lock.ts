// Keeps two processes, or two calls of one, from fetching the same repository at once: a lock file with its owner's name,
// touched while it is held. The Python library locks with flock, which Node lacks, so the two do not see each other's.

import { randomUUID } from "node:crypto";
import { mkdir, readFile, rm, stat, utimes, writeFile } from "node:fs/promises";
import { hostname } from "node:os";
import { dirname } from "node:path";
import { setTimeout as sleep } from "node:timers/promises";

const TOUCH_MS = 5_000;
/** A lock that was not touched for so long has lost its owner, on whatever machine that was. */
const STALE_MS = 30_000;
const POLL_MS = 200;

export interface LockOptions {
  readonly signal?: AbortSignal | undefined;
  /** Called once if somebody else holds the lock. */
  readonly onWait?: (() => void) | undefined;
}

/** Locks that this process holds: its number alone may be that of an earlier process. */
const held = new Set<string>();

/** Waits until `path` is free, holds it while `work` runs, and frees it whatever happens. */
export async function withLock<T>(path: string, { signal, onWait }: LockOptions, work: () => Promise<T>): Promise<T> {
  const owner = `${process.pid} ${randomUUID()} ${hostname()}`;
  await mkdir(dirname(path), { recursive: true });
  held.add(owner);
  let timer: NodeJS.Timeout | undefined;
  try {
    for (let isFirst = true; !(await create(path, owner)); isFirst = false) {
      if (await isAbandoned(path)) {
        await rm(path, { force: true });
        continue;
      }
      if (isFirst) onWait?.();
      await sleep(POLL_MS, undefined, { ...(signal && { signal }) });
    }
    timer = setInterval(() => void utimes(path, new Date(), new Date()).catch(() => undefined), TOUCH_MS);
    return await work();
  } finally {
    clearInterval(timer);
    held.delete(owner);
    if ((await readOwner(path)) === owner) await rm(path, { force: true });
  }
}

async function create(path: string, owner: string): Promise<boolean> {
  try {
    await writeFile(path, owner, { flag: "wx" });
    return true;
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === "EEXIST") return false;
    throw error;
  }
}

async function isAbandoned(path: string): Promise<boolean> {
  const info = await stat(path).catch(() => undefined);
  if (!info) return false;
  if (Date.now() - info.mtimeMs > STALE_MS) return true;
  const owner = await readOwner(path);
  const [pid, , host] = owner.split(" ");
  if (host !== hostname()) return false;
  return Number(pid) === process.pid ? !held.has(owner) : !isAlive(Number(pid));
}

async function readOwner(path: string): Promise<string> {
  return readFile(path, "utf8").catch(() => "");
}

function isAlive(pid: number): boolean {
  try {
    process.kill(pid, 0);
    return true;
  } catch (error) {
    return (error as NodeJS.ErrnoException).code === "EPERM";
  }
}
