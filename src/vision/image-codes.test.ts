import { describe, expect, test } from "vitest";
import { InputError } from "../errors.ts";
import { type CodesInput, ImageCodes, isCodesInput, readCodes } from "./image-codes.ts";

const limits = { codesPerPosition: 2, codesPerBook: 16, maxPositions: 12 };
const list = [0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 15];
const codes = new ImageCodes({ grid: [2, 3], codes: Uint16Array.from(list), width: 96, height: 64 });

describe("codes of a caller", () => {
  test.each([
    ["as they were made", codes],
    ["through JSON", JSON.parse(JSON.stringify(codes))],
    ["spread, through JSON", JSON.parse(JSON.stringify({ ...codes }))],
    ["inside other JSON", JSON.parse(JSON.stringify({ list: [{ codes }] })).list[0].codes],
    ["cloned, as by postMessage", structuredClone(codes)],
    ["as plain lists", { grid: [2, 3], codes: list, width: 96, height: 64 }],
    ["as bytes", { ...codes, codes: Uint8Array.from(list) }],
    ["as signed integers", { ...codes, codes: Int32Array.from(list) }],
    ["as big integers", { ...codes, codes: BigInt64Array.from(list, BigInt) }],
    ["as whole floats", { ...codes, codes: Float32Array.from(list) }],
    ["with a typed grid", { ...codes, grid: Int32Array.of(2, 3) }],
    ["with more fields", { ...codes, image: "cat.png" }],
  ])("are read %s", (_, input) => {
    expect(isCodesInput(input)).toBe(true);
    expect(readCodes(input, limits)).toStrictEqual(codes);
  });

  test("need no size of the image", () => {
    const read = readCodes({ grid: [2, 3], codes: list, width: undefined, height: undefined }, limits);
    expect(Object.keys(JSON.parse(JSON.stringify(read)))).toEqual(["grid", "codes"]);
  });

  test("are copied, so that the caller may change its own", () => {
    const own = Uint16Array.from(list);
    const read = readCodes({ grid: [2, 3], codes: own }, limits);
    own.fill(0);
    expect([...read.codes]).toEqual(list);
  });

  const at = (position: number, value: unknown) => ({ grid: [2, 3], codes: list.with(position, value as number) });
  const grid = "Expected a grid of at most 12 positions as [rows, columns], got ";
  test.each([
    ["a code outside its book", at(3, 16), "Expected codes from 0 to 15, got 16 at position 1, book 1"],
    ["a negative code", at(0, -1), "Expected codes from 0 to 15, got -1 at position 0, book 0"],
    ["half a code", at(11, 0.5), "Expected codes from 0 to 15, got 0.5 at position 5, book 1"],
    ["NaN", at(0, Number.NaN), "Expected codes from 0 to 15, got NaN at position 0, book 0"],
    ["a text", at(0, "3"), 'Expected codes from 0 to 15, got "3" at position 0, book 0'],
    ["nothing", at(0, null), "Expected codes from 0 to 15, got null at position 0, book 0"],
    ["too few codes", { grid: [2, 3], codes: [1] }, "Expected 2 x 3 positions of 2 codes, got 1 codes"],
    ["nested lists", { grid: [2, 3], codes: [list] }, "Expected 2 x 3 positions of 2 codes, got 1 codes"],
    [
      "codes as a text",
      { grid: [2, 3], codes: "AAECAwQF" },
      'Expected codes in a list or a typed array, got "AAECAwQF"',
    ],
    [
      "codes that are absent",
      { grid: [2, 3], codes: undefined },
      "Expected codes in a list or a typed array, got undefined",
    ],
    [
      "codes with other names",
      { grid: [2, 3], codes: { a: 1 } },
      'Expected codes in a list or a typed array, got {"a":1}',
    ],
    ["a huge grid", { grid: [1, 1e9], codes: [] }, `${grid}[1,1000000000]`],
    ["an empty grid", { grid: [0, 6], codes: [] }, `${grid}[0,6]`],
    ["half a row", { grid: [1.5, 2], codes: [] }, `${grid}[1.5,2]`],
    ["a grid of one number", { grid: 6, codes: list }, `${grid}6`],
    ["a grid of three", { grid: [1, 2, 3], codes: list }, `${grid}[1,2,3]`],
    ["a grid of texts", { grid: ["2", "3"], codes: list }, `${grid}["2","3"]`],
    ["a size that is none", { ...codes, width: "96" }, 'Expected the `width` of codes in pixels, got "96"'],
  ])("are rejected with %s", (_, input, message) => {
    expect(() => readCodes(input as unknown as CodesInput, limits)).toThrow(
      new InputError(message, { code: "invalid_codes" }),
    );
  });
});

describe("codes as bytes", () => {
  test("take few bytes and come back as they were", () => {
    expect(codes.toBytes()).toHaveLength(18 + 6); // 12 codes of 4 bits
    expect(ImageCodes.from(codes.toBytes())).toStrictEqual(codes);
    expect(ImageCodes.from(codes.toBytes().slice().buffer)).toStrictEqual(codes);
  });

  test("survive at every width of a code, whatever is known of the image's size", () => {
    for (let bits = 1; bits <= 16; bits++) {
      const values = Uint16Array.from({ length: 15 }, (_, i) => (i * 40503) % 2 ** bits);
      values[7] = 2 ** bits - 1;
      const some = new ImageCodes({ grid: [1, 5], codes: values, width: bits % 2 ? 70_000 : undefined });
      expect(ImageCodes.from(some.toBytes())).toStrictEqual(some);
      expect(some.toBytes()).toHaveLength(18 + Math.ceil((15 * bits) / 8));
    }
  });

  test("come back from JSON as text and as an object", () => {
    expect(ImageCodes.from(JSON.stringify(codes))).toStrictEqual(codes);
    expect(ImageCodes.from(JSON.parse(JSON.stringify(codes)))).toStrictEqual(codes);
  });

  const bytes = codes.toBytes();
  const changed = (at: number, value: number) => Uint8Array.from(bytes, (byte, i) => (i === at ? value : byte));
  test.each([
    ["others", Uint8Array.of(1, 2, 3), /do not begin with KXC1/],
    ["none", new Uint8Array(0), /do not begin with KXC1/],
    ["cut ones", bytes.subarray(0, 20), /says 24 bytes, got 20/],
    ["a grid of nothing", changed(4, 0), /header is damaged/],
    ["a huge grid", changed(5, 255), /says \d+ bytes, got 24/],
    ["codes of 40 bits", changed(9, 40), /header is damaged/],
    ["text that is no JSON", "codes", /got "codes"/],
    ["JSON of something else", "[1, 2]", /got \[1,2\]/],
    ["codes that do not fill the grid", { grid: [2, 2], codes: [1, 2, 3, 4, 5] }, /2 x 2 positions/],
    ["no codes", { grid: [2, 2], codes: [] }, /got 0 codes/],
    ["a negative code", { grid: [1, 1], codes: [-1] }, /from 0 to 65535, got -1/],
    ["nothing", undefined, /got undefined/],
  ])("refuse %s", (_, input, message) => {
    expect(() => ImageCodes.from(input as never)).toThrow(InputError);
    expect(() => ImageCodes.from(input as never)).toThrow(message);
  });
});
