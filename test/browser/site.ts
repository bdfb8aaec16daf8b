// The package as users have it: packed, installed in a project of its own, and bundled there with a small page.

import { execFile } from "node:child_process";
import { copyFile, cp, mkdir, mkdtemp, readFile, writeFile } from "node:fs/promises";
import { createServer, type Server } from "node:http";
import type { AddressInfo } from "node:net";
import { tmpdir } from "node:os";
import { extname, join, normalize } from "node:path";
import { fileURLToPath } from "node:url";
import { promisify } from "node:util";
import { build as esbuild } from "esbuild";
import { build as vite } from "vite";

const root = fileURLToPath(new URL("../..", import.meta.url));
const run = promisify(execFile);

export interface Site {
  readonly folder: string;
  /** Paths that were asked for. */
  readonly asked: string[];
  readonly port: number;
  close(): Promise<void>;
}

/** Serves /vite and /esbuild (the page), /model (kelix-nano) and /images; isolated, but below /plain. */
export async function makeSite(): Promise<Site> {
  const folder = await mkdtemp(join(tmpdir(), "kelix-site-"));
  const page = join(folder, "page");
  await cp(join(root, "test/browser/page"), page, { recursive: true });
  const { stdout } = await run("npm", ["pack", "--json", "--ignore-scripts", "--pack-destination", folder], {
    cwd: root,
  });
  const [{ filename }] = JSON.parse(stdout) as [{ filename: string }];
  await writeFile(join(folder, "package.json"), JSON.stringify({ name: "site", private: true, type: "module" }));
  // The browser needs none of the native libraries.
  const install = ["install", "--omit=optional", "--ignore-scripts", "--prefer-offline", "--no-audit", "--no-fund"];
  await run("npm", [...install, join(folder, filename)], { cwd: folder });
  const installed = join(folder, "node_modules");

  await vite({
    root: page,
    base: "./",
    logLevel: "warn",
    configFile: false,
    build: { outDir: join(folder, "vite"), emptyOutDir: true, target: "es2023", reportCompressedSize: false },
    worker: { format: "es" },
  });

  const out = join(folder, "esbuild");
  await writeFile(
    join(page, "wasm-paths.js"),
    'const url = (name) => new URL("./ort-wasm-simd-threaded" + name, import.meta.url).href;\n' +
      'export const wasmPaths = { mjs: url(".mjs"), wasm: url(".wasm") };\n',
  );
  await esbuild({
    entryPoints: [join(page, "page.js"), join(page, "worker.js")],
    bundle: true,
    minify: true,
    format: "esm",
    outdir: out,
    logLevel: "warning",
  });
  await esbuild({
    entryPoints: { decode: join(root, "test/browser/page/decode.js") },
    bundle: true,
    format: "esm",
    outdir: out,
    conditions: ["kelix-source"],
    logLevel: "warning",
  });
  await copyFile(join(page, "index.html"), join(out, "index.html"));
  for (const name of ["ort-wasm-simd-threaded.wasm", "ort-wasm-simd-threaded.mjs"])
    await copyFile(join(installed, "onnxruntime-web/dist", name), join(out, name));
  await mkdir(join(folder, "images"));
  return serve(folder, {
    "/model/": join(installed, "kelix/models/kelix-nano"),
    "/images/": join(folder, "images"),
    "/vite/": join(folder, "vite"),
    "/esbuild/": out,
  });
}

const types: Readonly<Record<string, string>> = {
  ".html": "text/html",
  ".css": "text/css",
  ".svg": "image/svg+xml",
  ".js": "text/javascript",
  ".mjs": "text/javascript",
  ".json": "application/json",
  ".wasm": "application/wasm",
  ".png": "image/png",
};

/** Serves folders by the beginning of the path; isolated, but below /plain. */
export async function serve(folder: string, places: Readonly<Record<string, string>>): Promise<Site> {
  const asked: string[] = [];
  const server: Server = createServer(async (request, response) => {
    const { pathname } = new URL(request.url!, "http://host");
    asked.push(pathname);
    const isPlain = pathname.startsWith("/plain/");
    const path = normalize(isPlain ? pathname.slice("/plain".length) : pathname);
    const place = Object.keys(places).find((prefix) => path.startsWith(prefix));
    const bytes = place && (await readFile(join(places[place]!, path.slice(place.length))).catch(() => undefined));
    if (!bytes) return void response.writeHead(404).end();
    const isolated = { "Cross-Origin-Opener-Policy": "same-origin", "Cross-Origin-Embedder-Policy": "require-corp" };
    const type = types[extname(path)] ?? "application/octet-stream";
    response.writeHead(200, {
      "Content-Type": type,
      "Content-Length": bytes.length,
      "Cache-Control": "no-store",
      ...(!isPlain && isolated),
    });
    response.end(bytes);
  });
  await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve));
  const close = async () => {
    server.closeAllConnections();
    await new Promise((resolve) => server.close(resolve));
  };
  return { folder, asked, port: (server.address() as AddressInfo).port, close };
}
