// Runs the smoke test on a version of Node, which comes from the npm package `node` if it is not the one at hand.

import { execFile } from "node:child_process";
import { access, mkdir, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { promisify } from "node:util";

const script = fileURLToPath(new URL("smoke.mjs", import.meta.url));
const run = promisify(execFile);

/** What the smoke test prints; throws when it fails. */
export async function runSmoke(node = process.execPath): Promise<{ stdout: string; stderr: string }> {
  const { ORT_DISABLE_TELEMETRY, NODE_OPTIONS, ...env } = process.env;
  return run(node, ["--expose-gc", script], { env });
}

/** A version of Node, installed into a folder that is kept between runs; undefined, with a note, where it cannot be had. */
export async function findNode(version: string): Promise<string | undefined> {
  const folder = join(process.env.KELIX_TEST_RUNTIMES || join(tmpdir(), "kelix-runtimes"), version);
  const node = join(folder, "node_modules/node/bin/node");
  try {
    await access(node).catch(async () => {
      await mkdir(folder, { recursive: true });
      await writeFile(join(folder, "package.json"), "{}");
      // The package puts the executable in place by a script of its own.
      const args = ["install", "--no-audit", "--no-fund", "--ignore-scripts=false", `node@${version}`];
      await run("npm", args, { cwd: folder, timeout: 300_000 });
    });
    await run(node, ["--version"]);
    return node;
  } catch (error) {
    console.warn(`Node ${version} cannot be installed here, so nothing was tested on it: ${(error as Error).message}`);
    return undefined;
  }
}
