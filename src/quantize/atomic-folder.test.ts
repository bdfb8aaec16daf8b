import { spawn } from "node:child_process";
import { once } from "node:events";
import { copyFile, mkdir, mkdtemp, readdir, readFile, rm, writeFile } from "node:fs/promises";
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

test("leaves nothing when its process is killed", async () => {
  const parent = join(root, "killed");
  const program = `const { createFolder } = await import(${JSON.stringify(new URL("./atomic-folder.ts", import.meta.url))});
    await createFolder(process.argv[1], async (folder) => {
      (await import("node:fs")).writeFileSync(folder + "/a", "1");
      console.log("writing");
      await new Promise((resolve) => setTimeout(resolve, 60_000));
    });`;
  const args = ["--import", "tsx", "--input-type=module", "-e", program, join(parent, "model")];
  const child = spawn(process.execPath, args, { stdio: ["ignore", "pipe", "pipe"] });
  await once(child.stdout, "data");
  expect(await readdir(parent)).toHaveLength(1);
  child.kill("SIGKILL");
  await once(child, "close"); // of its stderr too, which the helper holds
  expect(await readdir(parent)).toEqual([]);
});

test("removes the folders above it that it made, when writing fails", async () => {
  const fail = () => Promise.reject(new Error("disk on fire"));
  await expect(createFolder(join(root, "one", "two", "model"), fail)).rejects.toThrow("disk on fire");
  expect(await readdir(root)).not.toContain("one");
});

test("says in a sentence that another process made the same folder meanwhile, and keeps that", async () => {
  const path = join(root, "race", "model");
  const write = async (folder: string) => {
    await writeFile(join(folder, "a"), "ours");
    await mkdir(path);
    await writeFile(join(path, "a"), "theirs");
  };
  await expect(createFolder(path, write)).rejects.toThrow(
    `${path} was created by another process in the meantime and is kept: name a new folder, or remove it`,
  );
  expect(await readFile(join(path, "a"), "utf8")).toBe("theirs");
  expect(await readdir(join(root, "race"))).toEqual(["model"]);
});

test("says in a sentence what the system refuses", async () => {
  await writeFile(join(root, "file"), "");
  const nothing = () => Promise.resolve();
  await expect(createFolder(join(root, "file", "model"), nothing)).rejects.toThrow(
    /could not be written: a file .* is there/,
  );
  const source = join(root, "no-such-file");
  const copy = (folder: string) => copyFile(source, join(folder, "a"));
  await expect(createFolder(join(root, "copy"), copy)).rejects.toThrow(
    `${source}: cannot be read, there is no such file or folder`,
  );
});

test("leaves nothing when writing fails, and never touches what exists", async () => {
  const parent = join(root, "failing");
  await mkdir(join(parent, "model"), { recursive: true });
  const fail = () => Promise.reject(new Error("disk on fire"));
  await expect(createFolder(join(parent, "other"), fail)).rejects.toThrow("disk on fire");
  await expect(createFolder(join(parent, "model"), fail)).rejects.toThrow(/already exists/);
  expect(await readdir(parent)).toEqual(["model"]);
});
