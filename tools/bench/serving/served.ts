// `kelix serve` in a process of its own, from the sources.

import { spawn } from "node:child_process";
import { once } from "node:events";
import { createRequire } from "node:module";
import { join } from "node:path";
import { pathToFileURL } from "node:url";

export interface Served {
  readonly url: string;
  stop(): Promise<void>;
}

/** Starts a server at a free port and waits until it is ready. */
export async function serve(args: readonly string[]): Promise<Served> {
  const loader = pathToFileURL(createRequire(import.meta.url).resolve("tsx")).href;
  const main = join(import.meta.dirname, "../../../src/cli/main.ts");
  const flags = ["--conditions=kelix-source", "--import", loader];
  const child = spawn(process.execPath, [...flags, main, "serve", "--port", "0", "--log-level", "error", ...args], {
    stdio: ["ignore", "pipe", "inherit"],
  });
  const exited = once(child, "exit");
  const first = await Promise.race([once(child.stdout, "data"), exited]);
  const url = String(first[0]).trim();
  if (child.exitCode !== null) throw new Error(`kelix serve ended with status ${child.exitCode}`);
  while ((await fetch(`${url}/readyz`)).status !== 200) await new Promise((resolve) => setTimeout(resolve, 50));
  return {
    url,
    stop: async () => {
      child.kill("SIGTERM");
      await exited;
    },
  };
}
