import { spawn } from "node:child_process";
import { once } from "node:events";
import { mkdir, mkdtemp, readdir, rm, utimes, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, beforeAll, expect, test } from "vitest";
import { isTemporaryName, removeStale, STALE_MS, temporaryName } from "./stale.ts";

let root: string;
beforeAll(async () => {
  root = await mkdtemp(join(tmpdir(), "kelix-stale-"));
});
afterAll(() => rm(root, { recursive: true }));

test("removes what was not touched for ten minutes, files and folders", async () => {
  const now = Date.now();
  const old = new Date(now - STALE_MS - 1000);
  const dead = [".kelix-1b1c2d3e4f50.tmp"];
  for (const name of dead) await writeFile(join(root, name), "cut");
  const folder = ".kelix-2b1c2d3e4f50.partial";
  await mkdir(join(root, folder));
  await writeFile(join(root, folder, "model.safetensors"), "cut");
  for (const name of [...dead, folder]) await utimes(join(root, name), old, old);
  const alive = ".kelix-0b1c2d3e4f50.tmp";
  await writeFile(join(root, alive), "being written");
  for (const name of [".hidden", "notes.tmp", ".kelix-1.tmp"]) {
    await writeFile(join(root, name), "of the user");
    await utimes(join(root, name), old, old);
  }
  await removeStale(root, now);
  expect((await readdir(root)).sort()).toEqual([".hidden", ".kelix-1.tmp", alive, "notes.tmp"].sort());
});

test("removes at once what a process left that is known to be dead, and keeps what a running one writes", async () => {
  const folder = await mkdtemp(join(root, "owners-"));
  const ownName = temporaryName("tmp");
  const [, random, start, space] = /^\.kelix-(\w+)\.\d+\.(\d+)\.(\w+)\.tmp$/.exec(ownName) ?? [];
  if (start === undefined) return; // this system does not tell which process is which
  const child = spawn(process.execPath, ["--version"], { stdio: "ignore" });
  await once(child, "exit");
  const deadName = `.kelix-${random}.${child.pid}.${Number(start) + 1}.${space}.tmp`;
  const elsewhere = `.kelix-${random}.${child.pid}.${Number(start) + 1}.${"0".repeat(12)}.tmp`; // perhaps alive in its container
  for (const name of [ownName, deadName, elsewhere]) await writeFile(join(folder, name), "");
  const old = new Date(Date.now() - STALE_MS - 1000);
  await utimes(join(folder, ownName), old, old); // it may have been stopped for a while
  await removeStale(folder);
  expect((await readdir(folder)).sort()).toEqual([ownName, elsewhere].sort());
});

test("has nothing to say about a folder that is not there", async () => {
  await removeStale(join(root, "nowhere"));
});

test("gives names that leave room for every name that a disk allows", () => {
  const name = temporaryName("partial");
  expect(isTemporaryName(name)).toBe(true);
  expect(name.length).toBeLessThan(80);
});
