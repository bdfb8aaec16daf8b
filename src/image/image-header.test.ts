import { readFile } from "node:fs/promises";
import sharp from "sharp";
import { expect, test } from "vitest";
import { InputError } from "../errors.ts";
import { findFormat } from "./image-format.ts";
import { readImageHeader } from "./image-header.ts";

const image = () => sharp({ create: { width: 37, height: 21, channels: 4, background: "#80402080" } });
const read = (bytes: Uint8Array) => readImageHeader(bytes, findFormat(bytes)!, "x");

test.each<[kind: string, bytes: () => Promise<Uint8Array>]>([
  ["PNG", () => image().png().toBuffer()],
  ["JPEG", () => image().jpeg().toBuffer()],
  [
    "progressive JPEG with metadata",
    () =>
      image()
        .withExif({ IFD0: { Artist: "a".repeat(500) } })
        .jpeg({ progressive: true })
        .toBuffer(),
  ],
  ["lossy WebP", () => image().removeAlpha().webp().toBuffer()],
  ["lossless WebP", () => image().webp({ lossless: true }).toBuffer()],
  ["WebP with alpha", () => image().webp().toBuffer()],
])("tells the size of a %s as sharp does", async (_, make) => {
  const bytes = new Uint8Array(await make());
  expect(read(bytes)).toMatchObject({ width: 37, height: 21 });
});

test("tells a JPEG in CMYK by its channels", async () => {
  const cmyk = new Uint8Array(await image().toColourspace("cmyk").jpeg().toBuffer());
  expect(read(cmyk).channels).toBe(4);
});

test("rejects every file that is cut inside its header", async () => {
  const png = new Uint8Array(await readFile("data/heldout/demo/octopus.png"));
  const jpeg = new Uint8Array(await image().jpeg().toBuffer());
  for (const bytes of [png, jpeg]) {
    for (let length = 12; length < 24; length++) expect(() => read(bytes.slice(0, length))).toThrow(InputError);
  }
});

test("tells how a WebP is turned", async () => {
  for (const orientation of [1, 6, 8]) {
    const bytes = await image().withMetadata({ orientation }).webp().toBuffer();
    expect(read(new Uint8Array(bytes)).orientation).toBe(orientation);
  }
});
