import { deflateSync } from "node:zlib";
import fc from "fast-check";
import sharp from "sharp";
import { expect, test } from "vitest";
import { addPngText, crc32, readPngText } from "./png-text.ts";

const png = new Uint8Array(
  await sharp(Buffer.alloc(12, 200), { raw: { width: 2, height: 2, channels: 3 } })
    .png()
    .toBuffer(),
);
const CAP = 1000;
const read = (bytes: Uint8Array) => readPngText(bytes, "kelix", CAP);

/** A PNG with a chunk of any data. */
function withChunk(kind: string, data: Uint8Array): Uint8Array {
  const body = Buffer.concat([Buffer.from(kind), data]);
  const numbers = Buffer.alloc(8);
  numbers.writeUInt32BE(data.length, 0);
  numbers.writeUInt32BE(crc32(body), 4);
  return new Uint8Array(
    Buffer.concat([png.subarray(0, 33), numbers.subarray(0, 4), body, numbers.subarray(4), png.subarray(33)]),
  );
}

test("the checksum is PNG's own", () => {
  expect(crc32(new TextEncoder().encode("IEND"))).toBe(0xae426082); // the last bytes of every PNG
  expect(crc32(new Uint8Array(0))).toBe(0);
});

test("a text goes in and comes out, and the image stays readable", async () => {
  await fc.assert(
    fc.asyncProperty(fc.string({ unit: "grapheme", maxLength: 200 }), async (text) => {
      expect(await read(addPngText(png, "kelix", text))).toBe(text);
    }),
    { numRuns: 50 },
  );
  const { data, info } = await sharp(addPngText(png, "kelix", '{"ä":"日本"}'))
    .raw()
    .toBuffer({ resolveWithObject: true });
  expect([...data.subarray(0, 3), info.width]).toEqual([200, 200, 200, 2]);
});

test("a PNG without it, and what is no PNG, have none", async () => {
  expect(await read(png)).toBeUndefined();
  expect(await read(addPngText(png, "kelixir", "x"))).toBeUndefined();
  expect(await read(new Uint8Array([1, 2, 3]))).toBeUndefined();
  expect(() => addPngText(new Uint8Array([1, 2, 3]), "kelix", "x")).toThrow("no PNG");
});

test("packed text is unpacked up to the limit", async () => {
  const packed = (text: string) =>
    withChunk("iTXt", Buffer.concat([Buffer.from("kelix\0\x01\0de\0Wort\0"), deflateSync(text)]));
  expect(await read(packed("hello"))).toBe("hello");
  await expect(read(packed("a".repeat(100_000)))).rejects.toThrow("unpacks to more than the 1000 bytes");
  await expect(read(withChunk("iTXt", Buffer.from("kelix\0\x01\0\0\0junk")))).rejects.toThrow("cannot be unpacked");
});

test("damage is told apart from absence", async () => {
  const whole = addPngText(png, "kelix", "hello");
  const damaged = whole.slice();
  damaged[33 + 8 + 12]! ^= 1;
  await expect(read(damaged)).rejects.toThrow("its checksum is wrong");
  await expect(read(addPngText(whole, "kelix", "again"))).rejects.toThrow("two of them");
  await expect(read(addPngText(png, "kelix", "x".repeat(CAP)))).rejects.toThrow("at most 1000 are read");
  await expect(read(withChunk("iTXt", Buffer.from("kelix\0\0\0no end")))).rejects.toThrow("no text of PNG's");
  await expect(read(withChunk("iTXt", Buffer.from([...Buffer.from("kelix\0\0\0\0\0"), 0xff])))).rejects.toThrow(
    "UTF-8",
  );
});

test("no damaged file does anything but reject", async () => {
  const whole = addPngText(png, "kelix", "hello");
  await fc.assert(
    fc.asyncProperty(fc.nat(whole.length - 1), fc.nat(255), fc.nat(whole.length), async (at, byte, length) => {
      const bytes = whole.slice(0, length);
      if (at < bytes.length) bytes[at] = byte;
      const text = await read(bytes).catch((error) => {
        expect(error).toMatchObject({ name: "InputError", code: "invalid_receipt" });
      });
      expect([undefined, "hello"]).toContain(text);
    }),
    { numRuns: 300 },
  );
});
