import { mkdtemp, readdir, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, beforeAll, expect, test } from "vitest";
import { OpenFile } from "./open-file.ts";

let root: string;
beforeAll(async () => {
  root = await mkdtemp(join(tmpdir(), "kelix-open-"));
});
afterAll(() => rm(root, { recursive: true }));

test("reads and writes at a position and is closed once, after the reads under way", async () => {
  const path = join(root, "a");
  const written = await OpenFile.open(path, "wx");
  await written.truncate(6);
  expect(await written.write(new TextEncoder().encode("xabcx"), 1, 3, 2)).toMatchObject({ bytesWritten: 3 });
  await written.sync();
  await written.close();
  const file = await OpenFile.open(path);
  expect((await file.stat()).size).toBe(6);
  const bytes = new Uint8Array(8);
  const reading = file.read(bytes, 1, 7, 1);
  await Promise.all([file.close(), file.close()]);
  expect(await reading).toMatchObject({ bytesRead: 5 });
  expect([...bytes]).toEqual([0, 0, 97, 98, 99, 0, 0, 0]);
  await expect(file.read(bytes, 0, 1, 0)).rejects.toThrow(/closed/);
});

test.runIf(process.platform === "linux")("does not wait for somebody to write into a pipe", async () => {
  const { execFileSync } = await import("node:child_process");
  execFileSync("mkfifo", [join(root, "pipe")]);
  const file = await OpenFile.open(join(root, "pipe"));
  expect((await file.stat()).isFIFO()).toBe(true);
  await file.close();
  expect(await readdir(root)).toContain("pipe");
});

test("has no file for a name that is not there", async () => {
  await writeFile(join(root, "b"), "");
  await expect(OpenFile.open(join(root, "none"))).rejects.toMatchObject({ code: "ENOENT" });
  await expect(OpenFile.open(join(root, "b"), "wx")).rejects.toMatchObject({ code: "EEXIST" });
});
