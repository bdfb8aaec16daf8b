import { existsSync } from "node:fs";
import { mkdtemp, rm, stat, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, beforeAll, expect, test } from "vitest";
import { makeFolder } from "./make-folder.ts";

let root: string;
beforeAll(async () => {
  root = await mkdtemp(join(tmpdir(), "kelix-folder-"));
});
afterAll(() => rm(root, { recursive: true }));

test("makes what is missing and tells the topmost folder that it made", async () => {
  expect(await makeFolder(join(root, "a/b/c"))).toBe(join(root, "a"));
  expect((await stat(join(root, "a/b/c"))).isDirectory()).toBe(true);
  expect(await makeFolder(join(root, "a/b"))).toBeUndefined();
});

test("several at once make one", async () => {
  await Promise.all(Array.from({ length: 8 }, () => makeFolder(join(root, "many/x/y"))));
  expect((await stat(join(root, "many/x/y"))).isDirectory()).toBe(true);
});

test("a file in its place, or above it, is the system's error", async () => {
  await writeFile(join(root, "file"), "");
  await expect(makeFolder(join(root, "file"))).rejects.toThrow("EEXIST");
  await expect(makeFolder(join(root, "file/x"))).rejects.toThrow("ENOTDIR");
});

test.skipIf(!existsSync("/proc/self"))(
  "a file system that takes no folders is an error, not an endless wait",
  async () => {
    await expect(makeFolder("/proc/kelix/x")).rejects.toThrow("ENOENT");
  },
  5_000,
);
