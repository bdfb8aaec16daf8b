import { mkdtemp, readdir, rm, writeFile } from "node:fs/promises";
import { type AddressInfo, createServer } from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { pathToFileURL } from "node:url";
import sharp from "sharp";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { FetchError, InputError } from "../errors.ts";
import { writePng } from "../output/write-image.ts";
import { decodeImage, encodePng } from "./codec.node.ts";
import { loadImage } from "./image-source.node.ts";
import type { RgbImage } from "./rgb.ts";

let folder: string;
beforeAll(async () => {
  folder = await mkdtemp(join(tmpdir(), "kelix-image-"));
});
afterAll(() => rm(folder, { recursive: true }));

const image: RgbImage = { width: 3, height: 2, data: Uint8Array.from({ length: 18 }, (_, i) => 14 * i) };
const raw = (width: number, height: number, channels: 1 | 2 | 3 | 4, value = 0) =>
  sharp(Buffer.alloc(width * height * channels, value), { raw: { width, height, channels } });

/** One that nothing listens on. */
async function closedPort(): Promise<number> {
  const server = createServer();
  await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve));
  const { port } = server.address() as AddressInfo;
  await new Promise((resolve) => server.close(resolve));
  return port;
}

describe("loading", () => {
  test("gives the same pixels from a path, URLs, bytes, a Blob and raw pixels", async () => {
    const path = join(folder, "a b.png");
    await writePng(path, image);
    expect(await readdir(folder)).toEqual(["a b.png"]);
    const bytes = await encodePng(image);
    const dataUrl = `data:image/png;base64,${Buffer.from(bytes).toString("base64")}`;
    const answer = async () => new Response(bytes.slice());
    for (const input of [
      path,
      pathToFileURL(path),
      pathToFileURL(path).href,
      dataUrl,
      bytes,
      bytes.buffer,
      new Blob([bytes.slice()]),
      image,
    ]) {
      expect(await loadImage(input as Uint8Array)).toEqual(image);
    }
    expect(await loadImage("https://example.org/a.png", { fetch: answer })).toEqual(image);
  });

  test("turns an image as its EXIF says, spreads grey and puts transparency on white", async () => {
    const turned = await sharp(image.data, { raw: { width: 3, height: 2, channels: 3 } })
      .withMetadata({ orientation: 6 })
      .png()
      .toBuffer();
    const { width, height, data } = await decodeImage(turned);
    expect([width, height, ...data.subarray(0, 3)]).toEqual([2, 3, ...image.data.subarray(9, 12)]);
    expect([...(await decodeImage(await raw(1, 1, 1, 9).png().toBuffer())).data]).toEqual([9, 9, 9]);
    const rgba = { width: 2, height: 1, data: Uint8ClampedArray.of(10, 20, 30, 0, 10, 20, 30, 128) };
    const onWhite = [255, 255, 255, 132, 137, 142];
    expect([...(await loadImage(rgba)).data]).toEqual(onWhite);
    const png = await sharp(rgba.data, { raw: { width: 2, height: 1, channels: 4 } })
      .png()
      .toBuffer();
    expect([...(await decodeImage(png)).data]).toEqual(onWhite);
    expect([...(await decodeImage(await raw(1, 1, 2, 0).png().toBuffer())).data]).toEqual([255, 255, 255]);
  });

  test("reads 16-bit images at 8 bits", async () => {
    const levels = Uint16Array.of(0x8080, 0, 0xffff);
    const deep = await sharp(levels, { raw: { width: 1, height: 1, channels: 3 } })
      .toColourspace("rgb16")
      .png()
      .toBuffer();
    expect(await sharp(deep).metadata()).toMatchObject({ depth: "ushort" });
    expect([...(await decodeImage(deep)).data]).toEqual([128, 0, 255]);
  });

  test("reads an image of one pixel and the first frame of an animation", async () => {
    expect((await decodeImage(await raw(1, 1, 3, 5).webp({ lossless: true }).toBuffer())).data).toEqual(
      Uint8Array.of(5, 5, 5),
    );
    const frames = sharp(Buffer.from([...new Uint8Array(12).fill(200), ...new Uint8Array(12).fill(20)]), {
      raw: { width: 2, height: 4, channels: 3, pageHeight: 2 },
    });
    const animation = await frames.webp({ lossless: true }).toBuffer();
    expect(await decodeImage(animation)).toEqual({ width: 2, height: 2, data: new Uint8Array(12).fill(200) });
  });
});

describe("rejections", () => {
  test("name the file and are one sentence of ours", async () => {
    const png = await encodePng({ width: 64, height: 64, data: crypto.getRandomValues(new Uint8Array(64 * 64 * 3)) });
    const cases: [string, Uint8Array, RegExp][] = [
      [
        "svg.png",
        Buffer.from("<svg xmlns='http://www.w3.org/2000/svg' width='9' height='9'/>"),
        /is not a JPEG, PNG or WebP/,
      ],
      ["empty.png", new Uint8Array(0), /is not a JPEG/],
      ["cut.png", png.subarray(0, 2000), /cannot be decoded; the file is damaged/],
      ["header.png", png.subarray(0, 12), /cannot be decoded/],
      ["strip.png", await raw(402, 2, 3).png().toBuffer(), /402 x 2, the longer side may be at most 200 times/],
      ["bomb.png", await raw(8000, 8000, 1).png().toBuffer(), /8000 x 8000 pixels, at most 40 million/],
      ["anim.gif", await raw(2, 2, 3).gif().toBuffer(), /is not a JPEG/],
    ];
    for (const [name, bytes, message] of cases) {
      const path = join(folder, name);
      await writeFile(path, bytes);
      const failure = loadImage(path);
      await expect(failure).rejects.toThrow(InputError);
      await expect(failure).rejects.toThrow(message);
      await expect(failure).rejects.toThrow(name);
    }
    await expect(loadImage(join(folder, "absent.png"))).rejects.toThrow(
      /absent.png: cannot be read: there is no such file/,
    );
    await expect(loadImage(folder)).rejects.toThrow(/is a folder/);
    await expect(loadImage({ width: 2, height: 2, data: [1, 2, 3] })).rejects.toThrow(
      /have 12 bytes as RGB or 16 as RGBA, got 3/,
    );
    await expect(loadImage({ width: 0, height: 2, data: [] })).rejects.toThrow(/at least 1 pixel, got 0 x 2/);
    await expect(loadImage("data:image/png;base64,@@")).rejects.toThrow(InputError);
    await expect(loadImage(new URL("ftp://example.org/a.png"))).rejects.toThrow(/got ftp:/);
  });

  test("tell a failed download from a bad image", async () => {
    const url = "http://user:secret@example.org/a.png?key=1";
    const answer = (body: string, status: number) => async () => new Response(body, { status });
    await expect(loadImage(url, { fetch: answer("", 404) })).rejects.toThrow(
      new FetchError("http://example.org/a.png: the server answered 404"),
    );
    await expect(loadImage(url, { fetch: answer("hello", 200) })).rejects.toThrow(InputError);
    await expect(loadImage(`http://user:secret@127.0.0.1:${await closedPort()}/a.png?key=1`)).rejects.toThrow(
      /^http:\/\/127\.0\.0\.1:\d+\/a\.png: cannot be fetched: the connection was refused; .*\(ECONNREFUSED\)$/,
    );
    const busy = async () => new Response("", { status: 429, headers: { "Retry-After": "7" } });
    await expect(loadImage(url, { fetch: busy })).rejects.toMatchObject({ canRetry: true, retryAfterMs: 7000 });
    const hanging = (_: unknown, init?: RequestInit) =>
      new Promise<Response>((_, reject) => init?.signal?.addEventListener("abort", () => reject(init.signal?.reason)));
    await expect(loadImage(url, { fetch: hanging, timeoutMs: 5 })).rejects.toThrow(/did not arrive within 5 ms/);
    await expect(loadImage(url, { fetch: hanging, signal: AbortSignal.abort(new Error("stopped")) })).rejects.toThrow(
      "stopped",
    );
  });
});
