import { mkdir, mkdtemp, readdir, readFile, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, beforeAll, expect, test } from "vitest";
import { createFolder } from "./atomic-folder.ts";

let root: string;
beforeAll(async () => {
  root = await mkdtemp(join(tmpdir(), "kelix-folder-"));
});
afterAll(() => rm(root, { recursive: true }));

test("gives a folder its name when all is in it", async () => {
  const path = join(root, "new", "model");
  const result = await createFolder(path, async (folder) => {
    await writeFile(join(folder, "a"), "1");
    expect((await readdir(join(root, "new"))).every((name) => name.endsWith(".partial"))).toBe(true);
    return 7;
  });
  expect(result).toBe(7);
  expect(await readFile(join(path, "a"), "utf8")).toBe("1");
  expect(await readdir(join(root, "new"))).toEqual(["model"]);
});

test("leaves nothing when writing fails, and never touches what exists", async () => {
  const parent = join(root, "failing");
  await mkdir(join(parent, "model"), { recursive: true });
  const fail = () => Promise.reject(new Error("disk on fire"));
  await expect(createFolder(join(parent, "other"), fail)).rejects.toThrow("disk on fire");
  await expect(createFolder(join(parent, "model"), fail)).rejects.toThrow(/exists already/);
  expect(await readdir(parent)).toEqual(["model"]);
});
