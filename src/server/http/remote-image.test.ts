// Against a server on this machine that stands for the internet: its name resolves to it, and its address counts as public.

import http from "node:http";
import type { AddressInfo } from "node:net";
import { afterAll, beforeAll, expect, test } from "vitest";
import { fetchImage, publicImages, type RemoteImages } from "./remote-image.ts";

let server: http.Server;
let port: number;
let hits: string[] = [];
let resolved: string[] = [];
let aborted = 0;
const bytes = Buffer.from("an image's bytes");

beforeAll(async () => {
  server = http.createServer((request, response) => {
    hits.push(`${request.headers.host}${request.url}`);
    const { pathname, searchParams } = new URL(request.url!, "http://x");
    if (pathname === "/image") response.end(bytes);
    else if (pathname === "/to") response.writeHead(302, { location: searchParams.get("url")! }).end();
    else if (pathname === "/endless") {
      response.writeHead(200, { "content-type": "image/png" });
      const timer = setInterval(() => response.write(Buffer.alloc(10_000)), 1);
      response.on("close", () => {
        clearInterval(timer);
        aborted++;
      });
    } else if (pathname === "/slow") response.write("a");
    else if (pathname === "/cut")
      response.writeHead(200, { "content-length": "1000" }).write("a", () => response.destroy());
    else response.writeHead(404).end("secret page");
  });
  await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve));
  port = (server.address() as AddressInfo).port;
});

afterAll(() => {
  server.closeAllConnections();
  server.close();
});

/** Names of *.test resolve to this machine; only 127.0.0.1 may be opened. */
function remote(changes: Partial<RemoteImages> = {}): RemoteImages {
  return {
    resolve: async (name) => {
      resolved.push(name);
      if (name === "inside.test") return [{ address: "10.0.0.1", family: 4 }];
      if (name === "both.test")
        return [
          { address: "127.0.0.1", family: 4 },
          { address: "10.0.0.1", family: 4 },
        ];
      if (name.endsWith(".test")) return [{ address: "127.0.0.1", family: 4 }];
      throw new Error("ENOTFOUND secret resolver text");
    },
    mayOpen: (address) => address === "127.0.0.1",
    timeoutMs: 1000,
    ...changes,
  };
}

function get(path: string, changes?: Partial<RemoteImages>): Promise<Uint8Array> {
  [hits, resolved] = [[], []];
  const url = path.startsWith("/") ? `http://image.test:${port}${path}` : path;
  return fetchImage(url, remote(changes), { maxBytes: 100_000, param: "url", signal: new AbortController().signal });
}

const to = (url: string) => `/to?url=${encodeURIComponent(url)}`;

test("fetches an image, and resolves its name once", async () => {
  expect(await get("/image")).toEqual(new Uint8Array(bytes));
  expect(resolved).toEqual(["image.test"]);
});

test("follows redirects, three at most", async () => {
  expect(await get(to("/image"))).toEqual(new Uint8Array(bytes));
  expect(await get(to(to(to("/image"))))).toEqual(new Uint8Array(bytes));
  await expect(get(to(to(to(to("/image")))))).rejects.toThrow("redirects more than 3 times");
});

test.each([
  ["a private address behind a name", () => "http://inside.test/"],
  ["one private address among several", () => `http://both.test:${port}/image`],
  ["a redirect to a private name", () => to("http://inside.test/")],
  ["a redirect to a metadata service", () => to("http://169.254.169.254/latest")],
  ["a redirect to a file", () => to("file:///etc/passwd")],
  ["a file", () => "file:///etc/passwd"],
  ["a user name", () => `http://user:pass@image.test:${port}/image`],
  ["another scheme", () => "ftp://image.test/image"],
  ["no URL", () => "http://"],
  ["an unknown name", () => "http://unknown.example/"],
])("rejects %s, and opens nothing there", async (_, url) => {
  const error = await get(url()).catch((error: Error) => error);
  expect(error).toMatchObject({ name: "ApiError", status: 400, param: "url" });
  expect((error as Error).message).not.toContain("secret");
  expect(hits.every((hit) => hit.startsWith("image.test"))).toBe(true);
});

test.each([
  "http://127.0.0.1/",
  "http://2130706433/",
  "http://0177.0.0.1/",
  "http://0x7f.1/",
  "http://127.1/",
  "http://0/",
  "http://[::1]/",
  "http://[::ffff:127.0.0.1]/",
  "http://[::ffff:7f00:1]/",
  "http://169.254.169.254/",
  "http://localhost/",
  "http://localhost./",
  "http://10.1.2.3/",
  "http://[fd00::1]/",
  "http://[fe80::1%25eth0]/",
])("%s does not lead to a public address", async (url) => {
  const options = { maxBytes: 100, param: "url", signal: new AbortController().signal };
  await expect(fetchImage(url, publicImages, options)).rejects.toMatchObject({ status: 400 });
});

test("the host that is checked is the host that is dialled", async () => {
  // Some parsers read evil.test as the host of this one, some good.test.
  await get(`http://good.test:${port}\\@evil.test/image`).catch(() => undefined);
  expect(resolved).toEqual(["good.test"]);
  expect(hits.every((hit) => hit.startsWith("good.test"))).toBe(true);
});

test("ends what does not end: too many bytes, too long a time, a cut connection", async () => {
  await expect(get("/endless")).rejects.toThrow("more than 100000 bytes");
  await expect.poll(() => aborted).toBe(1);
  await expect(get("/slow", { timeoutMs: 100 })).rejects.toThrow("within 0.1 seconds");
  await expect(get("/image", { timeoutMs: 50, resolve: () => new Promise(() => undefined) })).rejects.toThrow("within");
  await expect(get("/cut")).rejects.toThrow("could not be fetched");
  await expect(get("/404")).rejects.toThrow("status 404");
});
