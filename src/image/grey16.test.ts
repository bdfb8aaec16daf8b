// 16 bits of grey as a browser reads them, against what Node makes of the same file.

import sharp, { type PngOptions } from "sharp";
import { expect, test } from "vitest";
import { decodeImage } from "./codec.node.ts";
import { readGrey16 } from "./grey16.ts";
import { clipGrey16, spreadGrey } from "./pixel-formats.ts";

const [width, height] = [37, 23];

/** Levels around the 255 at which Pillow cuts off, smooth so that encoders choose every filter, or noisy. */
function png({ isNoisy = false, ...options }: PngOptions & { readonly isNoisy?: boolean }): Promise<Buffer> {
  const levels = Uint16Array.from({ length: width * height }, (_, i) => {
    const [x, y] = [i % width, Math.floor(i / width)];
    return isNoisy ? (Math.imul(i + 1, 2654435761) >>> 12) & 511 : 3 * x + 5 * y + ((x * y) >> 3);
  });
  return sharp(levels, { raw: { width, height, channels: 1 } })
    .toColourspace("grey16")
    .png(options)
    .toBuffer();
}

test.each([{}, { adaptiveFiltering: true }, { isNoisy: true, adaptiveFiltering: true }, { compressionLevel: 0 }])(
  "has the pixels of Node: %j",
  async (options) => {
    const bytes = new Uint8Array(await png(options));
    const samples = (await readGrey16(bytes, { width, height }, "x.png"))!;
    expect(samples.some((value) => value > 255)).toBe(true);
    expect(spreadGrey(clipGrey16(samples, 1), 1)).toEqual((await decodeImage(bytes)).data);
  },
);

test("leaves interlaced files, and those that EXIF may turn, to the caller", async () => {
  const interlaced = new Uint8Array(await png({ progressive: true }));
  expect(await readGrey16(interlaced, { width, height }, "x.png")).toBeUndefined();
  const turned = await sharp(await png({}))
    .toColourspace("grey16")
    .withMetadata({ orientation: 6 })
    .png()
    .toBuffer();
  expect(await readGrey16(new Uint8Array(turned), { width, height }, "x.png")).toBeUndefined();
});

test("rejects files that are cut short or damaged", async () => {
  const bytes = new Uint8Array(await png({ isNoisy: true }));
  const damaged = Uint8Array.from(bytes, (byte, i) => (i > bytes.length / 2 ? byte ^ 0x5a : byte));
  for (const broken of [bytes.subarray(0, bytes.length - 200), damaged])
    await expect(readGrey16(broken, { width, height }, "x.png")).rejects.toThrow(/^x\.png: cannot be decoded/);
});
