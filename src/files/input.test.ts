import { execFileSync, spawn } from "node:child_process";
import { createWriteStream } from "node:fs";
import { mkdtemp, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { setTimeout as sleep } from "node:timers/promises";
import { afterAll, beforeAll, expect, test } from "vitest";
import { readInput } from "./input.ts";

let root: string;
beforeAll(async () => {
  root = await mkdtemp(join(tmpdir(), "kelix-input-"));
});
afterAll(() => rm(root, { recursive: true }));

const limits = { maxBytes: 200_000, code: "invalid_image" } as const;
const pipe = (name: string) => {
  execFileSync("mkfifo", [join(root, name)]);
  return join(root, name);
};

test("reads a plain file to its end, also one that does not say its size", async () => {
  const content = Buffer.alloc(150_000, "kelix");
  await writeFile(join(root, "a"), content);
  expect(Buffer.from(await readInput(join(root, "a"), limits)).equals(content)).toBe(true);
  if (process.platform !== "linux") return;
  expect(Buffer.from(await readInput("/proc/self/status", limits)).toString()).toContain("Name:");
});

test("rejects what is no file, too large or not there, in a sentence", async () => {
  await writeFile(join(root, "large"), Buffer.alloc(200_001));
  for (const [path, message] of [
    [root, /is a folder/],
    ["/dev/zero", /is not a file/],
    [join(root, "large"), /large: has more than 0\.2 MB/],
    [join(root, "none"), /none: cannot be read: there is no such file/],
    ["a\0b", /cannot be read: that is no file's name/],
  ] as const) {
    await expect(readInput(path, limits)).rejects.toMatchObject({
      name: "InputError",
      code: "invalid_image",
      message: expect.stringMatching(message),
    });
  }
});

test("reads a pipe whose writer comes late and pauses", async () => {
  const path = pipe("slow");
  const reading = readInput(path, limits);
  await sleep(100);
  const writer = createWriteStream(path);
  writer.write(Buffer.alloc(100_000, 1));
  await sleep(100);
  writer.end(Buffer.alloc(10, 2));
  const bytes = await reading;
  expect([bytes.length, bytes[0], bytes.at(-1)]).toEqual([100_010, 1, 2]);
});

test("reads no more from a pipe than the limit", async () => {
  const path = pipe("endless");
  const writer = spawn("sh", ["-c", `exec cat /dev/zero > "${path}"`]);
  await expect(readInput(path, limits)).rejects.toThrow(/more than 0\.2 MB/);
  writer.kill("SIGKILL");
});

test("ends the wait for a silent pipe at a signal, and the wait for a writer by itself", async () => {
  const path = pipe("silent");
  const writer = spawn("sh", ["-c", `exec 3> "${path}"; exec sleep 60`]);
  await expect(readInput(path, { ...limits, signal: AbortSignal.timeout(300) })).rejects.toMatchObject({
    name: "TimeoutError",
  });
  writer.kill("SIGKILL");
  await expect(readInput(pipe("abandoned"), limits)).rejects.toThrow(/nothing is writing to this pipe/);
}, 20_000);
