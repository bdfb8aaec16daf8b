import sharp from "sharp";
import { expect, test } from "vitest";
import { maskOf } from "./alpha-mask.ts";

/** Two pixels, as RGBA, as a PNG. */
const png = (...pixels: readonly number[]) =>
  sharp(Buffer.from(pixels), { raw: { width: 2, height: 1, channels: 4 } })
    .png()
    .toBuffer();

async function greys(mask: Uint8Array): Promise<number[]> {
  const { data, info } = await sharp(mask).raw().toBuffer({ resolveWithObject: true });
  return [data[0]!, data[info.channels]!];
}

test("transparent is where to rewrite, whatever colour the rest has", async () => {
  expect(await greys(await maskOf(await png(255, 255, 255, 255, 255, 255, 255, 0)))).toEqual([0, 255]);
  expect(await greys(await maskOf(await png(9, 9, 9, 0, 9, 9, 9, 255)))).toEqual([255, 0]);
});

test("a mask without transparency stays as it is", async () => {
  const opaque = await png(255, 255, 255, 255, 0, 0, 0, 255);
  expect(await maskOf(opaque)).toBe(opaque);
});
