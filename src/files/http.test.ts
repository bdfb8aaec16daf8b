import { createHash } from "node:crypto";
import { createServer, type IncomingMessage, type Server, type ServerResponse } from "node:http";
import type { AddressInfo } from "node:net";
import { afterEach, expect, test } from "vitest";
import { FetchError, ModelError } from "../errors.ts";
import { type BlobCache, openHub, openUrl } from "./http.ts";
import { readWhole } from "./model-files.ts";

const weights = new Uint8Array(100_000).map((_, i) => (i * 7) % 251);
const sha256 = createHash("sha256").update(weights).digest("hex");
const listing = {
  files: [
    { path: "config.json", bytes: 2, sha256: createHash("sha256").update("{}").digest("hex") },
    { path: "dit/model.safetensors", bytes: weights.length, sha256 },
  ],
};

let server: Server;
afterEach(() => new Promise((resolve) => server.close(resolve)));
type Answer = (request: IncomingMessage, response: ServerResponse) => void;
const asked: string[] = [];

/** Serves the model at /m, each path by `answers` if there is one. */
async function serve(answers: Record<string, Answer> = {}): Promise<URL> {
  asked.length = 0;
  server = createServer((request, response) => {
    asked.push(`${request.url}${request.headers.range ? ` ${request.headers.range}` : ""}`);
    const own = answers[request.url!];
    if (own) own(request, response);
    else if (request.url === "/m/files.json") response.end(JSON.stringify(listing));
    else if (request.url === "/m/config.json") response.end("{}");
    else if (request.url === "/m/dit/model.safetensors") response.end(weights);
    else response.writeHead(404).end();
  });
  await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve));
  return new URL(`http://127.0.0.1:${(server.address() as AddressInfo).port}/m`);
}

function mapCache(): BlobCache & { readonly blobs: Map<string, Blob> } {
  const blobs = new Map<string, Blob>();
  return { blobs, get: async (key) => blobs.get(key), put: async (key, blob) => void blobs.set(key, blob) };
}

const quick = { backoffMs: 1, cache: undefined };

test("fetches what is listed, with progress, and once for each hash", async () => {
  const url = await serve();
  const cache = mapCache();
  const progress: number[] = [];
  const files = await openUrl(url, { cache, onProgress: ({ doneBytes }) => progress.push(doneBytes) });
  expect(files.name).toBe(url.href);
  expect(await files.list()).toEqual([
    { name: "config.json", isFolder: false },
    { name: "dit", isFolder: true },
  ]);
  expect(await readWhole(files.folder("dit"), "model.safetensors", 1e6)).toEqual(weights);
  expect(await files.open("absent.json")).toBeUndefined();
  expect(progress.at(-1)).toBe(weights.length + 2);
  await openUrl(url, { cache });
  expect(asked.filter((path) => path.startsWith("/m/dit"))).toHaveLength(1);
});

test("goes on after a cut from where it was", async () => {
  let cuts = 0;
  const url = await serve({
    "/m/dit/model.safetensors": (request, response) => {
      const from = Number(/bytes=(\d+)-/.exec(request.headers.range ?? "")?.[1] ?? 0);
      const rest = weights.subarray(from);
      response.writeHead(from > 0 ? 206 : 200, { "Content-Length": rest.length });
      if (++cuts > 2) response.end(rest);
      else response.write(rest.subarray(0, 30_000), () => setTimeout(() => response.destroy(), 20));
    },
  });
  const files = await openUrl(url, quick);
  expect(await readWhole(files, "dit/model.safetensors", 1e6)).toEqual(weights);
  expect(asked.filter((path) => path.includes("bytes="))).toEqual([
    "/m/dit/model.safetensors bytes=30000-",
    "/m/dit/model.safetensors bytes=60000-",
  ]);
});

test("begins again where the server knows no ranges", async () => {
  let cuts = 0;
  const url = await serve({
    "/m/dit/model.safetensors": (_, response) => {
      response.writeHead(200, { "Content-Length": weights.length });
      if (++cuts > 1) response.end(weights);
      else response.write(weights.subarray(0, 30_000), () => setTimeout(() => response.destroy(), 20));
    },
  });
  expect(await readWhole(await openUrl(url, quick), "dit/model.safetensors", 1e6)).toEqual(weights);
});

test.each<[what: string, answers: Record<string, Answer>, message: RegExp]>([
  [
    "another file of the same size",
    { "/m/dit/model.safetensors": (_, response) => response.end(weights.toReversed()) },
    /dit\/model\.safetensors: is not the file that is listed: its SHA-256 is/,
  ],
  [
    "a longer file",
    { "/m/config.json": (_, response) => response.end("{}  ") },
    /config\.json: has more than the 2 bytes that are listed/,
  ],
  [
    "a listing that leads out of the folder",
    {
      "/m/files.json": (_, response) => response.end(JSON.stringify({ files: [{ path: "../secret.json", bytes: 2 }] })),
    },
    /files\.0\.path leads out of the folder/,
  ],
])("rejects %s, and keeps nothing of it", async (_, answers, message) => {
  const cache = mapCache();
  const fetching = openUrl(await serve(answers), { ...quick, cache });
  await expect(fetching).rejects.toThrow(message);
  await expect(fetching).rejects.toBeInstanceOf(ModelError);
  expect([...cache.blobs.keys()]).not.toContain(sha256.replace(/.$/, ""));
});

test("says what is missing at an address without a listing, and what does not come", async () => {
  const url = await serve({ "/busy/files.json": (_, response) => response.writeHead(503).end() });
  await expect(openUrl(new URL("/other", url), quick)).rejects.toThrow(/has no files\.json.*kelix info FOLDER --files/);
  const busy = openUrl(new URL("/busy/", url), quick);
  await expect(busy).rejects.toThrow(/status 503/);
  await expect(busy).rejects.toMatchObject({ canRetry: true, name: "FetchError" });
  const gone = await openUrl(new URL("http://127.0.0.1:1/"), quick).catch((error) => error);
  expect(gone).toBeInstanceOf(FetchError);
});

test("rejects with the signal's reason", async () => {
  const abort = new AbortController();
  const url = await serve({ "/m/dit/model.safetensors": (_, response) => void response.write("x") });
  const fetching = openUrl(url, { ...quick, signal: abort.signal, onProgress: () => abort.abort(new Error("enough")) });
  await expect(fetching).rejects.toThrow("enough");
  server.closeAllConnections();
});

test("asks the Hub for a repository's files at the commit of a revision", async () => {
  const siblings = [
    { rfilename: "config.json", size: 2, blobId: "x" },
    { rfilename: "model.safetensors", size: weights.length, lfs: { sha256, size: weights.length } },
    { rfilename: "README.md", size: 10, blobId: "y" },
  ];
  const url = await serve({
    "/api/models/owner/name/revision/v1?blobs=true": (_, response) =>
      response.end(JSON.stringify({ sha: "c0ffee", siblings })),
    "/owner/name/resolve/c0ffee/config.json": (_, response) => response.end("{}"),
    "/owner/name/resolve/c0ffee/model.safetensors": (_, response) => response.end(weights),
  });
  const files = await openHub({ repo: "owner/name", revision: "v1" }, { ...quick, hub: url.origin });
  expect(files.name).toBe("owner/name@v1");
  expect((await files.list()).map(({ name }) => name)).toEqual(["config.json", "model.safetensors"]);
  expect(await readWhole(files, "model.safetensors", 1e6)).toEqual(weights);
});
