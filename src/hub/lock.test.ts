import { mkdtemp, readdir, rm, utimes, writeFile } from "node:fs/promises";
import { hostname, tmpdir } from "node:os";
import { join } from "node:path";
import { setTimeout as sleep } from "node:timers/promises";
import { afterEach, beforeEach, expect, test } from "vitest";
import { withLock } from "./lock.ts";

let folder: string;
let path: string;
beforeEach(async () => {
  folder = await mkdtemp(join(tmpdir(), "kelix-lock-"));
  path = join(folder, "locks", "a.lock");
});
afterEach(() => rm(folder, { recursive: true }));

test("one after the other comes in", async () => {
  let inside = 0;
  const enter = () =>
    withLock(path, {}, async () => {
      expect(++inside).toBe(1);
      await sleep(20);
      inside--;
    });
  await Promise.all([enter(), enter(), enter()]);
  expect(await readdir(join(folder, "locks"))).toEqual([]);
});

test("frees the lock when the work fails", async () => {
  await expect(withLock(path, {}, () => Promise.reject(new Error("broken")))).rejects.toThrow("broken");
  expect(await withLock(path, {}, async () => "in")).toBe("in");
});

/** Leaves the lock of somebody else, last touched so long ago. */
async function leaveLock(owner: string, secondsAgo = 0): Promise<void> {
  await withLock(path, {}, async () => undefined);
  await writeFile(path, owner);
  const time = Date.now() / 1000 - secondsAgo;
  await utimes(path, time, time);
}

test.each([
  // No process has this number: Linux goes to 2^22.
  ["a process that is gone", `${2 ** 30} x ${hostname()}`, 0],
  ["an earlier process that had this one's number", `${process.pid} x ${hostname()}`, 0],
  ["another machine that is silent for a minute", "7 x elsewhere", 60],
])("takes the lock of %s", async (_, owner, secondsAgo) => {
  await leaveLock(owner, secondsAgo);
  expect(await withLock(path, {}, async () => "in")).toBe("in");
});

test.each([
  ["a running process", `${process.ppid} x ${hostname()}`],
  ["another machine", "7 x elsewhere"],
])("waits for %s until the signal", async (_, owner) => {
  await leaveLock(owner);
  let waits = 0;
  const waiting = withLock(path, { signal: AbortSignal.timeout(50), onWait: () => waits++ }, async () => "in");
  await expect(waiting).rejects.toThrow();
  expect(waits).toBe(1);
  expect(await readdir(join(folder, "locks"))).toEqual(["a.lock"]);
});
