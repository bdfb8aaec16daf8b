// A lock file: at most one owner at a time among processes, containers and machines that share a folder. The owner touches the
// file while it holds it. A lock is abandoned when its process is known to be dead, or when nothing has touched it for as long as
// it promises; that is measured by the waiter's own clock, since clocks and process numbers mean nothing in another container.
//
//   PATH             the lock, with its owner's name; written elsewhere and linked into place, so that it is never half there
//   PATH.takeover    held for a moment by the one that removes an abandoned lock
//
// No file system offers a swap by comparison, so a process that was stopped for longer than its promise may find its lock taken:
// `lost` tells it so.

import { randomUUID } from "node:crypto";
import { link, readdir, rename, rm, stat, writeFile } from "node:fs/promises";
import { hostname } from "node:os";
import { basename, dirname, join } from "node:path";
import { setTimeout as sleep } from "node:timers/promises";
import { InputError, KelixError } from "../errors.ts";
import { OpenFile } from "../files/open-file.ts";
import { identifyProcess, type ProcessIdentity, probeProcess } from "../files/process-identity.ts";
import { makeFolder } from "./make-folder.ts";

export interface FileLock {
  /** Aborted if somebody else has taken the lock: this process was silent for longer than it promised. */
  readonly lost: AbortSignal;
  /** Safe to call twice. */
  release(): Promise<void>;
}

export interface LockOptions {
  readonly signal?: AbortSignal | undefined;
  /** Called once if the lock cannot be had at once. */
  readonly onWait?: (() => void) | undefined;
  /** An owner that has not touched the lock for so long counts as dead. More for work that blocks the event loop. Default 15 s. */
  readonly silenceMs?: number;
}

const POLL_MS = 100;
const SILENCE_MS = 15_000;
/** A file that is not one of our locks: empty, or with other content. No process will touch it. */
const FOREIGN_SILENCE_MS = 1_000;
/** A takeover takes milliseconds. */
const TAKEOVER_SILENCE_MS = 5_000;
/** What a lock may promise. */
const MAX_SILENCE_MS = 600_000;
const MAX_LOCK_BYTES = 4096;
/** Names of the moment, PATH.UUID, live for milliseconds. */
const LEFTOVER_MS = 60_000;
const uuidPattern = /\.[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}$/;

/** Takes the lock, or says by undefined that its owner is alive; to find that out may take as long as the owner may be silent. */
export function tryLock(path: string, options: LockOptions = {}): Promise<FileLock | undefined> {
  return acquire(path, options, false);
}

/** Takes the lock as soon as it is free. Throws the signal's reason at its abort. */
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

/** A lock file as it was found. */
interface Seen {
  /** Undefined if this user may not read it. */
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

/** Follows a lock file; time counts only while it is looked at, not while this process was stopped. */
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

/** The file's content and time; undefined if there is none. It is opened, since network file systems remember what `stat` says. */
async function look(path: string): Promise<Seen | undefined> {
  let file: OpenFile | undefined;
  try {
    // A pipe must not keep this waiting.
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

/** Puts a new lock at `path`; undefined if somebody else's is there. */
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
      // The answer to a repeated request on a network file system may be that of the second.
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

/** Where there are no links the lock is empty for a moment; should it be taken for abandoned by then, this is seen at the end. */
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
    // By its handle: the name may lead to another's lock by now.
    await this.#file.utimes(now, now).catch(() => this.#file.write(Buffer.from(this.#content), 0, undefined, 0));
    const seen = await look(this.#path);
    if (!this.#isReleased && seen?.content !== this.#content)
      this.#lost.abort(
        new KelixError(`${this.#path}: this process was stopped for so long that another took its lock`, {
          code: "output_refused",
        }),
      );
  }

  async release(): Promise<void> {
    if (this.#isReleased) return;
    this.#isReleased = true;
    clearInterval(this.#timer);
    await this.#file.close();
    // What cannot be read or removed now is abandoned in a while.
    const seen = await look(this.#path).catch(() => undefined);
    if (seen?.content === this.#content) await rm(this.#path, { force: true }).catch(() => undefined);
  }
}

/**
 * Removes an abandoned lock. One at a time may do so: a second would remove the lock that the first then made. False if somebody
 * else is at it, or if the lock is another by now.
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

/** Removes a file if it is still the one that was seen: under another name, where nobody can exchange it, it is compared once more. */
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

/** Its owner came back to life in the very moment that it was moved. If there is a new lock by now it stays; `lost` tells the owner. */
async function putBack(aside: string, path: string): Promise<void> {
  try {
    await link(aside, path);
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code !== "EEXIST" && !(await look(path)))
      await rename(aside, path).catch(() => undefined);
  }
}

/** Removes what processes left that were killed in the middle of the above. Those at work can do without theirs. */
async function removeLeftovers(path: string): Promise<void> {
  const folder = dirname(path);
  for (const name of await readdir(folder)) {
    if (!name.startsWith(`${basename(path)}.`) || !uuidPattern.test(name)) continue;
    const info = await stat(join(folder, name)).catch(() => undefined);
    if (info && Date.now() - info.mtimeMs > LEFTOVER_MS) await rm(join(folder, name), { force: true });
  }
}
