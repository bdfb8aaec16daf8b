// npm run build: compiles src/ to dist/, makes the command executable, lists the files of each built-in model for browsers, and builds
// the page.

import { spawnSync } from "node:child_process";
import { chmodSync, readdirSync, rmSync, writeFileSync } from "node:fs";
import { fileURLToPath } from "node:url";
import { buildPage } from "./build-page.mjs";

const root = fileURLToPath(new URL("..", import.meta.url));
rmSync(`${root}dist`, { recursive: true, force: true });
const compiled = spawnSync(
  process.execPath,
  [`${root}node_modules/typescript/bin/tsc`, "-p", `${root}tsconfig.build.json`],
  { stdio: "inherit" },
);
if (compiled.status !== 0) process.exit(compiled.status ?? 1);
chmodSync(`${root}dist/cli/main.js`, 0o755);

const { listModelFiles } = await import("../dist/output/listing.js");
for (const name of readdirSync(`${root}models`)) {
  const folder = `${root}models/${name}`;
  writeFileSync(`${folder}/files.json`, `${JSON.stringify(await listModelFiles(folder), null, 2)}\n`);
}
await buildPage(`${root}dist/web`);
