// kelix edit and kelix embed on the model that ships.

import { mkdtemp, readFile, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import sharp from "sharp";
import { afterAll, beforeAll, expect, test } from "vitest";
import { runCli } from "./run-cli.ts";

const image = fileURLToPath(new URL("../data/heldout/demo/octopus.png", import.meta.url));
let folder: string;
beforeAll(async () => {
  folder = await mkdtemp(join(tmpdir(), "kelix-edit-"));
});
afterAll(() => rm(folder, { recursive: true, force: true }));

test("edit writes an image, and only where a mask is white if there is one", async () => {
  const mask = join(folder, "mask.png");
  const half = Uint8Array.from({ length: 6 * 6 }, (_, i) => (i % 6 < 3 ? 255 : 0));
  await writeFile(
    mask,
    await sharp(half, { raw: { width: 6, height: 6, channels: 1 } })
      .png()
      .toBuffer(),
  );
  const run = async (name: string, ...more: string[]) => {
    const out = join(folder, name);
    const { status, out: printed, err } = await runCli(["edit", image, "make it blue", "-o", out, "--json", ...more]);
    expect([status, err]).toEqual([0, ""]);
    expect(JSON.parse(printed)).toEqual([{ file: out, seed: 2, width: 96, height: 96 }]);
    return readFile(out);
  };
  const whole = await run("whole.png", "--seed", "2", "--steps", "2");
  const masked = await run("masked.png", "--seed", "2", "--steps", "2", "--mask", mask);
  expect(masked.equals(whole)).toBe(false);
});

test("edit says what is wrong with its mask", async () => {
  const black = join(folder, "black.png");
  await writeFile(
    black,
    await sharp(new Uint8Array(3), { raw: { width: 1, height: 1, channels: 3 } })
      .png()
      .toBuffer(),
  );
  const out = join(folder, "none.png");
  const { status, err } = await runCli(["edit", image, "make it blue", "-o", out, "--mask", black]);
  expect([status, err]).toEqual([
    2,
    "kelix: `mask` selects no position: white, or true, is where the image is rewritten\n",
  ]);
  const same = await runCli(["edit", image, "make it blue", "-o", image]);
  expect([same.status, same.err]).toEqual([2, expect.stringContaining("octopus.png")]);
});

test("embed prints a vector for each image, and a failure among them", async () => {
  const { status, out, err } = await runCli(["embed", image, "/nowhere.png", image, "--json"]);
  expect(status).toBe(1);
  expect(err.trim().split("\n")).toHaveLength(1);
  const [first, failed, again] = JSON.parse(out);
  expect(first.vector).toHaveLength(256);
  expect(failed).toMatchObject({ image: "/nowhere.png", error: { code: "invalid_image" } });
  expect(again).toEqual(first);
  const lines = (await runCli(["embed", image, image])).out.trim().split("\n");
  expect(lines.map((line) => JSON.parse(line).vector)).toEqual([first.vector, first.vector]);
});
