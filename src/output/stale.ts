// What a killed process leaves behind: temporary files and folders beside their final names. Their names say whose they are, so
// that the next writer removes those of processes that are known to be dead. Process numbers mean nothing in another container or
// on another machine; there the heartbeat counts: the owner touches its files while it works, and silence means that it is dead.

import { createHash, randomUUID } from "node:crypto";
import { lstat, readdir, rm, utimes } from "node:fs/promises";
import { join } from "node:path";
import { identifyProcess, probeProcess } from "./process-identity.ts";

/** After so long without a heartbeat the owner is taken for dead. */
export const STALE_MS = 10 * 60_000;

const HEARTBEAT_MS = 60_000;

/** `.kelix-RANDOM.PID.START.SPACE.tmp`; the owner may be absent. */
const TEMPORARY = /^\.kelix-[0-9a-f]{12}(\.(?<pid>\d+)\.(?<start>\d+)\.(?<space>[0-9a-f]{12}))?\.(tmp|partial)$/;

/** A new name for something that is being written: short, so that every final name that the disk allows can be written. */
export function temporaryName(kind: "tmp" | "partial"): string {
  const owner = identifyProcess();
  const suffix = owner ? `.${owner.pid}.${owner.start}.${digest(owner.space)}` : "";
  return `.kelix-${randomUUID().slice(-12)}${suffix}.${kind}`;
}

/** Whether a name is that of a temporary file or folder. */
export function isTemporaryName(name: string): boolean {
  return TEMPORARY.test(name);
}

/** What is known of the process that a name belongs to. */
function probeOwner(name: string): "running" | "dead" | "unknown" {
  const { pid, start, space } = TEMPORARY.exec(name)?.groups ?? {};
  const own = identifyProcess();
  if (!own || start === undefined || space !== digest(own.space)) return "unknown";
  return probeProcess({ pid: Number(pid), start, space: own.space });
}

function digest(text: string): string {
  return createHash("sha256").update(text).digest("hex").slice(0, 12);
}

/** Removes the temporary files and folders in `folder` whose owner is dead. Never fails: they are not ours to insist on. */
export async function removeStale(folder: string, nowMs = Date.now()): Promise<void> {
  const names = await readdir(folder).catch(() => []);
  for (const name of names.filter(isTemporaryName)) {
    const path = join(folder, name);
    const owner = probeOwner(name);
    if (owner === "running") continue;
    const { mtimeMs } = await lstat(path).catch(() => ({ mtimeMs: nowMs })); // another process removed it first
    if (owner !== "dead" && nowMs - mtimeMs <= STALE_MS) continue;
    await rm(path, { recursive: true, force: true }).catch(() => undefined);
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
