// A lock file: at most one owner at a time among processes, containers and machines that share a folder. The owner touches the
// file while it holds it. A lock is abandoned when its process is known to be dead, or when nothing has touched it for the time
// it promises, measured by the waiter's own clock, since clocks and process numbers mean nothing in another container.
//
//   PATH             the lock, with its owner's name; written elsewhere and linked into place, so that it is never incomplete
//   PATH.takeover    held briefly while removing an abandoned lock
//
// No file system offers compare-and-swap, so a process suspended for longer than its promise may lose its lock:
// `lost` then aborts.

import { randomUUID } from "node:crypto";
import { link, readdir, rename, rm, stat, writeFile } from "node:fs/promises";
import { hostname } from "node:os";
import { basename, dirname, join } from "node:path";
import { setTimeout as sleep } from "node:timers/promises";
import { InputError, KelixError } from "../errors.ts";
import { OpenFile } from "../files/open-file.ts";
import { identifyProcess, type ProcessIdentity, probeProcess } from "../output/process-identity.ts";
import { makeFolder } from "./make-folder.ts";

export interface FileLock {
  /** Aborted if another process has taken the lock because this one was silent for longer than it promised. */
  readonly lost: AbortSignal;
  /** Safe to call twice. */
  release(): Promise<void>;
}

export interface LockOptions {
  readonly signal?: AbortSignal | undefined;
  /** Called once if the lock is not free at once. */
  readonly onWait?: (() => void) | undefined;
  /** An owner that has not touched the lock for this long counts as dead. Use more for work that blocks the event loop. Default 15 s. */
  readonly silenceMs?: number;
}

const POLL_MS = 100;
const SILENCE_MS = 15_000;
/** For a file that is not one of our locks: empty, or with other content. No process will touch it. */
const FOREIGN_SILENCE_MS = 1_000;
/** A takeover takes milliseconds. */
const TAKEOVER_SILENCE_MS = 5_000;
/** The longest silence that a lock may promise. */
const MAX_SILENCE_MS = 600_000;
const MAX_LOCK_BYTES = 4096;
/** Temporary names, PATH.UUID, live for milliseconds. */
const LEFTOVER_MS = 60_000;
const uuidPattern = /\.[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}$/;

/** Takes the lock, or returns undefined if its owner is alive; finding out may take as long as the owner may be silent. */
export function tryLock(path: string, options: LockOptions = {}): Promise<FileLock | undefined> {
  return acquire(path, options, false);
}

/** Takes the lock as soon as it is free. Throws the signal's reason on abort. */
export async function waitForLock(path: string, options: LockOptions = {}): Promise<FileLock> {
  return (await acquire(path, options, true))!;
}

async function acquire(path: string, options: LockOptions, waits: boolean): Promise<FileLock | undefined> {
  const { signal, onWait, silenceMs = SILENCE_MS } = options;
  await makeFolder(dirname(path));
  const owner = new Watch();
  const takeover = new Watch();
  for (let isFirst = true; ; isFirst = false) {
    signal?.throwIfAborted();
    const seen = await look(path);
    const state = seen ? owner.judge(seen) : "abandoned";
    if (state === "alive" && !waits) return undefined;
    if (!seen || (state === "abandoned" && (await takeAway(path, seen, takeover)))) {
      const lock = await create(path, silenceMs);
      if (lock) return lock;
    }
    if (isFirst) onWait?.();
    await sleep(POLL_MS, undefined, { ...(signal && { signal }) }).catch(() => undefined);
  }
}

/** A lock file as found. */
interface Seen {
  /** Undefined if this user cannot read it. */
  readonly content: string | undefined;
  readonly mtimeNs: bigint;
}

interface Owner {
  /** Distinguishes this lock from every other. */
  readonly kelixLock: string;
  readonly silenceMs: number;
  readonly host: string;
  readonly process?: ProcessIdentity;
}

/** Watches a lock file; time counts only while it is polled, not while this process was suspended. */
class Watch {
  #last: Seen | undefined;
  #lookedMs = 0;
  #silentMs = 0;
  #isAlive = false;

  judge(seen: Seen, foreignSilenceMs = FOREIGN_SILENCE_MS): "alive" | "abandoned" | "unknown" {
    const nowMs = performance.now();
    if (isSame(seen, this.#last)) this.#silentMs += Math.min(nowMs - this.#lookedMs, 2 * POLL_MS);
    else {
      this.#isAlive = this.#last !== undefined;
      this.#silentMs = 0;
    }
    this.#last = seen;
    this.#lookedMs = nowMs;
    const owner = parseOwner(seen.content);
    const state = owner?.process ? probeProcess(owner.process) : "unknown";
    if (state === "dead") return "abandoned";
    const promisedMs = owner?.silenceMs ?? (seen.content === undefined ? SILENCE_MS : foreignSilenceMs);
    if (this.#silentMs >= promisedMs) return "abandoned";
    return this.#isAlive || state === "running" ? "alive" : "unknown";
  }
}

function isSame(a: Seen, b: Seen | undefined): boolean {
  return a.content === b?.content && a.mtimeNs === b?.mtimeNs;
}

function parseOwner(content = ""): Owner | undefined {
  try {
    const owner: Partial<Owner> | null = JSON.parse(content);
    if (typeof owner?.kelixLock !== "string" || typeof owner.silenceMs !== "number") return undefined;
    const silenceMs = Math.min(Math.max(owner.silenceMs, FOREIGN_SILENCE_MS), MAX_SILENCE_MS);
    return { ...(owner as Owner), silenceMs };
  } catch {
    return undefined;
  }
}

/** The file's content and time; undefined if there is none. It is opened because network file systems cache `stat`. */
async function look(path: string): Promise<Seen | undefined> {
  let file: OpenFile | undefined;
  try {
    // A pipe must not block this.
    file = await OpenFile.open(path);
    const info = await file.statBig();
    if (!info.isFile()) throw new InputError(`${path}: expected a lock file, found something else. Remove it`);
    const buffer = Buffer.alloc(MAX_LOCK_BYTES);
    const { bytesRead } = await file.read(buffer, 0, MAX_LOCK_BYTES, 0);
    return { content: buffer.toString("utf8", 0, bytesRead), mtimeNs: info.mtimeNs };
  } catch (error) {
    const { code } = error as NodeJS.ErrnoException;
    if (code === "ENOENT") return undefined;
    if (code !== "EACCES" && code !== "EPERM") throw error;
    const info = await stat(path, { bigint: true }).catch(() => undefined);
    return info && { content: undefined, mtimeNs: info.mtimeNs };
  } finally {
    await file?.close();
  }
}

/** Creates a new lock at `path`; undefined if another process's exists. */
async function create(path: string, silenceMs: number): Promise<FileLock | undefined> {
  const id = randomUUID();
  const identity = identifyProcess();
  const content = JSON.stringify({
    kelixLock: id,
    silenceMs,
    host: hostname(),
    pid: process.pid,
    ...(identity && { process: identity }),
  });
  const own = `${path}.${id}`;
  const file = await OpenFile.open(own, "wx");
  let held: OpenFile | undefined;
  try {
    await file.write(Buffer.from(content));
    try {
      await link(own, path);
      held = file;
    } catch (error) {
      const { code } = error as NodeJS.ErrnoException;
      // A network file system may repeat a request and return the second one's result.
      if (code === "EEXIST") held = (await look(path))?.content === content ? file : undefined;
      else held = await createWithoutLinks(path, content);
    }
    if (!held) return undefined;
    await removeLeftovers(path).catch(() => undefined);
    return new HeldLock(path, content, silenceMs, held);
  } finally {
    await rm(own, { force: true });
    if (held !== file) await file.close();
  }
}

/** Without links the lock is empty for a moment; if it is taken for abandoned by then, the check at the end notices. */
async function createWithoutLinks(path: string, content: string): Promise<OpenFile | undefined> {
  let file: OpenFile;
  try {
    file = await OpenFile.open(path, "wx");
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === "EEXIST") return undefined;
    throw error;
  }
  try {
    await file.write(Buffer.from(content));
    if ((await look(path))?.content === content) return file;
  } catch (error) {
    await file.close();
    await rm(path, { force: true });
    throw error;
  }
  await file.close();
  return undefined;
}

class HeldLock implements FileLock {
  readonly #path: string;
  readonly #content: string;
  readonly #file: OpenFile;
  readonly #timer: NodeJS.Timeout;
  readonly #lost = new AbortController();
  #isReleased = false;

  constructor(path: string, content: string, silenceMs: number, file: OpenFile) {
    this.#path = path;
    this.#content = content;
    this.#file = file;
    this.#timer = setInterval(() => void this.#touch().catch(() => undefined), silenceMs / 6).unref();
  }

  get lost(): AbortSignal {
    return this.#lost.signal;
  }

  async #touch(): Promise<void> {
    const now = new Date();
    // By its handle: the name may now refer to another process's lock.
    await this.#file.utimes(now, now).catch(() => this.#file.write(Buffer.from(this.#content), 0, undefined, 0));
    const seen = await look(this.#path);
    if (!this.#isReleased && seen?.content !== this.#content)
      this.#lost.abort(
        new KelixError(`${this.#path}: this process was suspended for so long that another took its lock`, {
          code: "output_refused",
        }),
      );
  }

  async release(): Promise<void> {
    if (this.#isReleased) return;
    this.#isReleased = true;
    clearInterval(this.#timer);
    await this.#file.close();
    // A lock that cannot be read or removed now will count as abandoned later.
    const seen = await look(this.#path).catch(() => undefined);
    if (seen?.content === this.#content) await rm(this.#path, { force: true }).catch(() => undefined);
  }
}

/**
 * Removes an abandoned lock. Only one process may do so: a second would remove the lock that the first then creates. False if
 * another process is doing it, or the lock has changed.
 */
async function takeAway(path: string, abandoned: Seen, watch: Watch): Promise<boolean> {
  const gate = `${path}.takeover`;
  try {
    await writeFile(gate, randomUUID(), { flag: "wx" });
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code !== "EEXIST") throw error;
    const seen = await look(gate);
    if (seen && watch.judge(seen, TAKEOVER_SILENCE_MS) === "abandoned") await removeIfSame(gate, seen);
    return false;
  }
  try {
    return await removeIfSame(path, abandoned);
  } finally {
    await rm(gate, { force: true });
  }
}

/** Removes a file if it is still the one seen: it is renamed, so that nobody can replace it, and compared again. */
async function removeIfSame(path: string, seen: Seen): Promise<boolean> {
  const now = await look(path);
  if (!now || !isSame(now, seen)) return false;
  const aside = `${path}.${randomUUID()}`;
  try {
    await rename(path, aside);
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === "ENOENT") return false;
    throw error;
  }
  const moved = await look(aside);
  const isRight = moved !== undefined && isSame(moved, seen);
  if (!isRight) await putBack(aside, path);
  await rm(aside, { force: true });
  return isRight;
}

/** Its owner resumed just as it was moved. If there is a new lock by now it stays, and the owner's `lost` aborts. */
async function putBack(aside: string, path: string): Promise<void> {
  try {
    await link(aside, path);
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code !== "EEXIST" && !(await look(path)))
      await rename(aside, path).catch(() => undefined);
  }
}

/** Removes temporary files of processes killed during the above. Running processes do not need theirs. */
async function removeLeftovers(path: string): Promise<void> {
  const folder = dirname(path);
  for (const name of await readdir(folder)) {
    if (!name.startsWith(`${basename(path)}.`) || !uuidPattern.test(name)) continue;
    const info = await stat(join(folder, name)).catch(() => undefined);
    if (info && Date.now() - info.mtimeMs > LEFTOVER_MS) await rm(join(folder, name), { force: true });
  }
}
