import { mkdtemp, readdir, readFile, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, beforeAll, expect, test } from "vitest";
import { writeImage, writePng } from "../output/write-image.ts";
import { decodeImage } from "./codec.node.ts";
import { findFormat } from "./image-format.ts";

let folder: string;
beforeAll(async () => {
  folder = await mkdtemp(join(tmpdir(), "kelix-codec-"));
});
afterAll(() => rm(folder, { recursive: true }));

const side = 32;
const ramp = Uint8Array.from(
  { length: side * side * 3 },
  (_, i) => (5 * (Math.floor(i / 3) % side) + 60 * (i % 3)) % 256,
);
const image = { width: side, height: side, data: ramp };

test.each([
  ["a.png", "png", 0],
  ["A.PNG", "png", 0],
  ["a.jpg", "jpeg", 12],
  ["a.JPEG", "jpeg", 12],
  ["a.webp", "webp", 12],
] as const)("writes %s in the format that its suffix names", async (name, format, tolerance) => {
  await writeImage(join(folder, name), image);
  const bytes = await readFile(join(folder, name));
  expect(findFormat(bytes)).toBe(format);
  const { data } = await decodeImage(bytes);
  const mean = data.reduce((sum, value, i) => sum + Math.abs(value - ramp[i]!), 0) / data.length;
  expect(mean).toBeLessThanOrEqual(tolerance);
});

test("writes nothing under a name whose suffix is none of these", async () => {
  const before = await readdir(folder);
  for (const name of ["b", "b.gif", "b.safetensors", ".png/b", "b.png.txt"])
    await expect(writeImage(join(folder, name), image), name).rejects.toThrow(
      /expected \.png, \.jpg, \.jpeg or \.webp/,
    );
  await expect(writePng(join(folder, "b.jpg"), image)).rejects.toThrow(/names that end in \.png/);
  expect(await readdir(folder)).toEqual(before);
});
