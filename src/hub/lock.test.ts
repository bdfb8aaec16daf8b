import { mkdtemp, readdir, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterEach, beforeEach, expect, test } from "vitest";
import { withLock } from "./lock.ts";

let folder: string;
let path: string;
beforeEach(async () => {
  folder = await mkdtemp(join(tmpdir(), "kelix-lock-"));
  path = join(folder, "locks", "a.lock");
});
afterEach(() => rm(folder, { recursive: true }));

test("frees the lock when the work fails", async () => {
  await expect(withLock(path, {}, () => Promise.reject(new Error("broken")))).rejects.toThrow("broken");
  expect(await readdir(join(folder, "locks"))).toEqual([]);
  expect(await withLock(path, {}, async () => "in")).toBe("in");
});
