import { createReadStream } from "node:fs";
import { Readable } from "node:stream";
import { createContext, runInContext } from "node:vm";
import sharp from "sharp";
import { describe, expect, test } from "vitest";
import { InputError } from "../errors.ts";
import { encodePng } from "./codec.node.ts";
import { loadImage } from "./image-source.node.ts";

const image = { width: 3, height: 2, data: Uint8Array.from({ length: 18 }, (_, i) => 14 * i) };
const png = await encodePng(image);

/** The one sentence that is thrown. */
async function refusal(input: unknown): Promise<string> {
  const error = await loadImage(input as string).then(
    () => new Error("was accepted"),
    (error: InputError) => error,
  );
  expect(error).toBeInstanceOf(InputError);
  expect((error as InputError).code).toBe("invalid_image");
  expect(error.message.length).toBeLessThan(700);
  return error.message;
}

describe("what an image may be", () => {
  const shared = new Uint8Array(new SharedArrayBuffer(png.length));
  shared.set(png);
  const padded = new Uint8Array(png.length + 20);
  padded.set(png, 7);

  test.each([
    ["a Buffer", Buffer.from(png)],
    ["a part of a buffer", padded.subarray(7, 7 + png.length)],
    ["a DataView", new DataView(padded.buffer, 7, png.length)],
    ["a Uint8ClampedArray", new Uint8ClampedArray(png)],
    ["shared memory", shared],
    ["a SharedArrayBuffer", shared.buffer],
    ["a File", new File([png.slice()], "a.png")],
    ["pixels as a list", { ...image, data: [...image.data] }],
    ["pixels as an ArrayBuffer", { ...image, data: image.data.buffer }],
    ["pixels as 16-bit integers below 256", { ...image, data: Uint16Array.from(image.data) }],
    ["pixels as whole floats", { ...image, data: Float32Array.from(image.data) }],
    ["an object with more fields", { ...image, channels: 3, colorSpace: "srgb" }],
  ])("%s", async (_, input) => {
    expect(await loadImage(input)).toEqual(image);
  });

  test("the caller may change its pixels afterwards", async () => {
    const own = { ...image, data: image.data.slice() };
    const loaded = await loadImage(own);
    own.data.fill(0);
    expect(loaded).toEqual(image);
  });

  test("values of another realm, as in Jest", async () => {
    const make = (code: string) =>
      runInContext(code, createContext({ png: [...png], data: [...image.data], URL, Blob }));
    const href = `data:image/png;base64,${Buffer.from(png).toString("base64")}`;
    for (const input of [
      make("Uint8Array.from(png)"),
      make("Uint8Array.from(png).buffer"),
      make("new DataView(Uint8Array.from(png).buffer)"),
      make("({ width: 3, height: 2, data: Uint8ClampedArray.from(data) })"),
      make("({ width: 3, height: 2, data })"),
      { [Symbol.toStringTag]: "URL", toString: () => href },
      { [Symbol.toStringTag]: "Blob", size: png.length, arrayBuffer: async () => make("Uint8Array.from(png).buffer") },
    ])
      expect(await loadImage(input)).toEqual(image);
  });
});

describe("what is no image is told so, and what to pass instead", () => {
  test.each([
    ["nothing", undefined, "got undefined"],
    ["null", null, "got null"],
    ["a number", 5, "got 5"],
    ["an empty text", "", "got an empty text"],
    ["an empty object", {}, "got {}"],
    ["a promise", Promise.resolve(png), "got a Promise; await it first"],
    ["a list of bytes", [...png], "Uint8Array.from(list)"],
    ["a sharp object", sharp(png), "toBuffer"],
    ["sharp's raw result", { data: Buffer.alloc(18), info: { width: 3, height: 2 } }, "info.width"],
    ["a response", new Response("x"), "await response.arrayBuffer()"],
    ["a stream of Node", Readable.from([png]), "read the stream first"],
    ["a file's stream", createReadStream("package.json"), "read the stream first"],
    ["a web stream", new Blob([png.slice()]).stream(), "read the stream first"],
    ["a generator", (async function* () {})(), "read the stream first"],
    ["a canvas", { width: 3, height: 2, getContext() {} }, "getImageData"],
    ["floats without a size", new Float32Array(18), "{ width, height, data }"],
    ["a Buffer from JSON", JSON.parse(JSON.stringify(Buffer.from(png))), "Buffer.from(value.data)"],
    ["a part of a message", { type: "image", image: "a.png" }, "pass the `image`"],
    ["an image_url", { url: "https://example.org/a.png" }, "pass its `url`"],
    ["codes without a grid", { codes: [1, 2] }, "{ grid, codes }"],
    ["base64", Buffer.alloc(90_000, png).toString("base64"), 'Buffer.from(text, "base64")'],
    ["a text with a null character", "a\0.png", "null character"],
    ["another scheme", "ftp://example.org/a.png", "got ftp:"],
    ["a blob's address", new URL("blob:nodedata:1"), "got blob:"],
    ["a broken address", "http://", 'got "http://"'],
    ["a broken data URL", "data:image/png;base64,@@", "data URL: is not well formed"],
    ["a data URL of text", "data:text/plain,hello", "is not a JPEG, PNG or WebP"],
    ["a file of another host", "file://server/share/a.png", "does not name a file on this machine"],
    ["a file with a slash in its name", "file:///a%2Fb.png", "does not name a file on this machine"],
    ["a long path", "x".repeat(50_000), "the name is too long"],
  ])("%s", async (_, input, message) => {
    expect(await refusal(input)).toContain(message);
  });

  const pixels = (data: unknown, width: unknown = 3, height: unknown = 2) => ({ width, height, data });
  test.each([
    ["levels from 0 to 1", pixels(Float32Array.from(image.data, (v) => v / 255)), "multiply by 255 and round"],
    ["a mask of floats", pixels(new Float32Array(18).fill(1)), "a Float32Array of 0 and 1; multiply by 255"],
    ["16-bit levels", pixels(new Uint16Array(18).fill(4000)), "integers from 0 to 255, got 4000 at 0"],
    ["a negative level", pixels(Int8Array.from({ length: 18 }, (_, i) => (i === 5 ? -3 : 0))), "got -3 at 5"],
    ["NaN", pixels(Array(18).fill(Number.NaN)), "got NaN at 0"],
    ["texts", pixels(Array(18).fill("1")), 'got "1" at 0'],
    ["big integers", pixels(new BigInt64Array(18)), "got 0n at 0"],
    ["no bytes at all", pixels(undefined), "expected pixels in a Uint8Array, got undefined"],
    ["a text of bytes", pixels("x".repeat(18)), "expected pixels in a Uint8Array"],
    ["a grey image", pixels(new Uint8Array(6)), "18 bytes as RGB or 24 as RGBA, got 6; repeat the one channel"],
    ["too few", pixels([1, 2, 3]), "got 3"],
    ["a size as a text", pixels(image.data, "3"), 'got "3" x 2'],
    ["half a pixel", pixels(image.data, 1.5, 4), "got 1.5 x 4"],
    ["more pixels than are read", pixels([], 1e6, 1e6), "at most 40 million"],
  ])("pixels that are %s", async (_, input, message) => {
    expect(await refusal(input)).toContain(message);
  });

  test("a buffer that was given away has no bytes", async () => {
    const given = png.slice();
    structuredClone(given.buffer, { transfer: [given.buffer] });
    expect(await refusal(given)).toContain("is not a JPEG, PNG or WebP");
    expect(await refusal(given.buffer)).toContain("is not a JPEG, PNG or WebP");
  });

  test("what encodePng is given is checked as well", async () => {
    await expect(encodePng({ width: 3, height: 2, data: new Uint8Array(5) })).rejects.toThrow("18 bytes as RGB");
    await expect(encodePng(undefined as never)).rejects.toThrow(InputError);
  });
});
