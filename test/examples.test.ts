// The numbered examples run as they stand.

import { mkdtemp, readFile, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { afterAll, beforeAll, expect, test } from "vitest";
import { runPrograms } from "./run-programs.ts";

const root = fileURLToPath(new URL("..", import.meta.url));
const example = (name: string, ...args: string[]) => ({ file: join(root, `examples/${name}.ts`), args });
let folder: string;
let described: string;
let coded: string;
let imagined: string;
beforeAll(async () => {
  folder = await mkdtemp(join(tmpdir(), "kelix-examples-"));
  const programs = [
    example("01-describe"),
    example("02-codes", "data/heldout/demo/octopus.png", join(folder, "codes.png")),
    example("03-imagine", "two red circles", join(folder, "imagined.png")),
  ];
  [described, coded, imagined] = (await runPrograms(programs, root)) as [string, string, string];
});
afterAll(() => rm(folder, { recursive: true, force: true }));

const isPng = async (name: string) => (await readFile(join(folder, name))).subarray(1, 4).toString() === "PNG";

test("01-describe prints what an image shows", () => {
  expect(described.trim()).not.toBe("");
});

test("02-codes prints codes and draws the image again", async () => {
  expect(coded).toMatch(/^6 x 6 positions, the first one's codes:( \d+){8}\n$/);
  expect(await isPng("codes.png")).toBe(true);
});

test("03-imagine reports its progress and writes an image", async () => {
  expect(imagined).toContain("write 37/37");
  expect(await isPng("imagined.png")).toBe(true);
});
