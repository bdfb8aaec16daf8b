// Fetches packages with the ordinary npm client into a folder of their own; install scripts never run.

import { execFile } from "node:child_process";
import { promisify } from "node:util";

/** Installs packages (name@version) and what they depend on into `folder`/node_modules; `more` are options of npm. */
export async function installPackages(
  folder: string,
  packages: readonly string[],
  more: readonly string[] = [],
): Promise<void> {
  const options = ["--ignore-scripts", "--no-audit", "--no-fund", "--no-save", "--legacy-peer-deps"];
  await promisify(execFile)("npm", ["install", "--prefix", folder, ...options, ...more, ...packages]);
}
