// The numbered examples run as they stand.

import { execFile } from "node:child_process";
import { mkdtemp, readFile, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { promisify } from "node:util";
import { afterAll, beforeAll, expect, test } from "vitest";

const root = fileURLToPath(new URL("..", import.meta.url));
let folder: string;
beforeAll(async () => {
  folder = await mkdtemp(join(tmpdir(), "kelix-examples-"));
});
afterAll(() => rm(folder, { recursive: true, force: true }));

async function run(name: string, ...args: string[]): Promise<string> {
  const { stdout } = await promisify(execFile)(process.execPath, ["--import", "tsx", `examples/${name}.ts`, ...args], {
    cwd: root,
  });
  return stdout;
}

const isPng = async (path: string) => (await readFile(path)).subarray(1, 4).toString() === "PNG";

test("01-describe prints what an image shows", async () => {
  expect((await run("01-describe")).trim()).not.toBe("");
});

test("02-codes prints codes and draws the image again", async () => {
  const out = join(folder, "codes.png");
  expect(await run("02-codes", "data/heldout/demo/octopus.png", out)).toMatch(
    /^6 x 6 positions, the first one's codes:( \d+){8}\n$/,
  );
  expect(await isPng(out)).toBe(true);
});

test("03-imagine reports its progress and writes an image", async () => {
  const out = join(folder, "imagined.png");
  expect(await run("03-imagine", "two red circles", out)).toContain("write 37/37");
  expect(await isPng(out)).toBe(true);
});
