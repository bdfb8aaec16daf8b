// Decoding against Pillow's pixels: test/images/make.py.

import { readFile } from "node:fs/promises";
import sharp from "sharp";
import { expect, test } from "vitest";
import { readSafetensors } from "../quantize/safetensors-file.ts";
import { decodeImage } from "./codec.node.ts";

const folder = "test/images";
const pixels = await readSafetensors(`${folder}/pixels.safetensors`);

test.each([...pixels.keys()])("decodes as Pillow does: %s", async (name) => {
  const { shape, data } = pixels.get(name)!;
  const image = await decodeImage(await readFile(`${folder}/${name.split(" ").at(-1)}`), name);
  expect([image.height, image.width, 3]).toEqual(shape);
  expect(image.data).toEqual(data);
});

test("turns CMYK and 16-bit grey as EXIF says, like other images", async () => {
  for (const name of ["cmyk.jpg", "grey16.png"]) {
    const { shape, data } = pixels.get(name)!;
    const file = await readFile(`${folder}/${name}`);
    const turned = await decodeImage(withOrientation(file), name);
    expect([turned.width, turned.height]).toEqual([shape[0], shape[1]]);
    const upright = await sharp(turned.data, { raw: { width: turned.width, height: turned.height, channels: 3 } })
      .rotate(-90)
      .raw()
      .toBuffer();
    expect(new Uint8Array(upright)).toEqual(data);
  }
});

/** The file with an EXIF orientation of 6, a quarter turn: in a JPEG's first segment, or in a PNG's eXIf chunk. */
function withOrientation(file: Buffer): Buffer {
  const tiff = Buffer.from("4d4d002a000000080001011200030000000100060000" + "00000000", "hex");
  const isJpeg = file[0] === 0xff;
  if (isJpeg) {
    const segment = Buffer.concat([Buffer.from("Exif\0\0", "latin1"), tiff]);
    const head = Buffer.from([0xff, 0xe1, 0, segment.length + 2]);
    return Buffer.concat([file.subarray(0, 2), head, segment, file.subarray(2)]);
  }
  const chunk = Buffer.alloc(12 + tiff.length);
  chunk.writeUInt32BE(tiff.length, 0);
  chunk.write("eXIf", 4, "latin1");
  tiff.copy(chunk, 8);
  chunk.writeUInt32BE(crc32(chunk.subarray(4, 8 + tiff.length)), 8 + tiff.length);
  const afterHeader = 8 + 25;
  return Buffer.concat([file.subarray(0, afterHeader), chunk, file.subarray(afterHeader)]);
}

function crc32(bytes: Uint8Array): number {
  let crc = -1;
  for (const byte of bytes) {
    crc ^= byte;
    for (let bit = 0; bit < 8; bit++) crc = (crc >>> 1) ^ (crc & 1 ? 0xedb88320 : 0);
  }
  return ~crc >>> 0;
}
