// Serves the page (built into dist/web) and the model it can run in the browser. Both are public; the page sends the key with its requests.

import { createReadStream, readdirSync, statSync } from "node:fs";
import { createRequire } from "node:module";
import { dirname, extname, join, relative, sep } from "node:path";
import { Readable } from "node:stream";
import { fileURLToPath } from "node:url";
import type { MiddlewareHandler } from "hono";
import type { HttpEnv } from "./service.ts";

const root = fileURLToPath(new URL("../../../", import.meta.url));
const runtime = dirname(createRequire(import.meta.url).resolve("onnxruntime-web"));

const types: Readonly<Record<string, string>> = {
  ".html": "text/html; charset=utf-8",
  ".js": "text/javascript; charset=utf-8",
  ".mjs": "text/javascript; charset=utf-8",
  ".css": "text/css; charset=utf-8",
  ".json": "application/json",
  ".webmanifest": "application/manifest+json",
  ".svg": "image/svg+xml",
  ".wasm": "application/wasm",
};

/** Cross-origin isolation, which threads in WebAssembly require. */
const headers = {
  "cross-origin-opener-policy": "same-origin",
  "cross-origin-embedder-policy": "require-corp",
  "cross-origin-resource-policy": "same-origin",
  "x-content-type-options": "nosniff",
};

/** Serves the files that existed when the server started, and nothing else. */
export function servePage(): MiddlewareHandler<HttpEnv> {
  const files = new Map([
    ...listFiles(join(root, "dist/web"), "/"),
    ...listFiles(join(root, "models/kelix-nano"), "/kelix-nano/"),
    ...listFiles(runtime, "/ort/").filter(([address]) => /\.asyncify\.(mjs|wasm)$/.test(address)), // for WebGPU
  ]);
  const index = files.get("/index.html");
  if (index) files.set("/", index);
  return async (c, next) => {
    const path = files.get(c.req.path);
    if (path === undefined || !["GET", "HEAD"].includes(c.req.method)) return next();
    // The names of assets contain a hash of their content.
    const caching = c.req.path.startsWith("/assets/") ? "public, max-age=31536000, immutable" : "no-cache";
    const type = types[extname(path)] ?? "application/octet-stream";
    const own = {
      ...headers,
      "content-type": type,
      "cache-control": caching,
      "content-length": `${statSync(path).size}`,
    };
    if (c.req.method === "HEAD") return c.body(null, 200, own);
    return c.body(Readable.toWeb(createReadStream(path)) as ReadableStream, 200, own);
  };
}

/** The files of a folder by URL path; none if the page was not built. */
function listFiles(folder: string, prefix: string): [address: string, path: string][] {
  try {
    return readdirSync(folder, { recursive: true, withFileTypes: true })
      .filter((entry) => entry.isFile())
      .map((entry) => join(entry.parentPath, entry.name))
      .map((path) => [prefix + relative(folder, path).split(sep).join("/"), path]);
  } catch {
    return [];
  }
}
