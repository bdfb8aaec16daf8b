// Builds the page (web/). `npm run build` puts it into dist/web, from where `kelix serve` gives it out beside the model; `npm run page` then
// makes a static folder of page and model for any host.

import { createHash } from "node:crypto";
import { cpSync, readdirSync, readFileSync, writeFileSync } from "node:fs";
import { createRequire } from "node:module";
import { dirname, join, resolve } from "node:path";
import { fileURLToPath } from "node:url";
import { build } from "vite";

const root = fileURLToPath(new URL("..", import.meta.url));

/** Builds into `folder`, which is emptied first. */
export async function buildPage(folder) {
  await build({ configFile: join(root, "web/vite.config.ts"), build: { outDir: folder } });
  writeServiceWorker(folder);
}

/** The service worker knows every file of the page, and changes with them. */
function writeServiceWorker(folder) {
  const files = readdirSync(folder, { recursive: true, withFileTypes: true })
    .filter((entry) => entry.isFile())
    .map((entry) => join(entry.parentPath, entry.name))
    .sort();
  const hash = createHash("sha256");
  for (const file of files) hash.update(file.slice(folder.length)).update(readFileSync(file));
  // The glue and code of WebGPU are fetched when they are used.
  const kept = files
    .map((file) => `.${file.slice(resolve(folder).length)}`)
    .filter((file) => !/asyncify|webgpu/.test(file));
  const source = readFileSync(join(root, "web/offline/service-worker.js"), "utf8")
    .replace("const FILES = [];", `const FILES = ${JSON.stringify(kept)};`)
    .replace('"development"', JSON.stringify(hash.digest("hex").slice(0, 16)));
  writeFileSync(join(folder, "service-worker.js"), source);
}

if (process.argv[1] === fileURLToPath(import.meta.url)) {
  const folder = resolve(process.argv[2] ?? "kelix-page");
  cpSync(join(root, "dist/web"), folder, { recursive: true });
  cpSync(join(root, "models/kelix-nano"), join(folder, "kelix-nano"), { recursive: true });
  const runtime = dirname(createRequire(import.meta.url).resolve("onnxruntime-web"));
  for (const type of ["mjs", "wasm"]) {
    const name = `ort-wasm-simd-threaded.asyncify.${type}`;
    cpSync(join(runtime, name), join(folder, "ort", name)); // for WebGPU, fetched when it is chosen
  }
  console.log(`The page is in ${folder}. Put it on any host, or look at it: npx vite preview --outDir ${folder}`);
}
