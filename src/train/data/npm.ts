// Fetches packages with the ordinary npm client into a folder of their own; install scripts never run.

import { execFile } from "node:child_process";
import { promisify } from "node:util";
import { FetchError, InputError } from "../../errors.ts";

/** Installs packages (name@version) and what they depend on into `folder`/node_modules; `more` are options of npm. */
export async function installPackages(
  folder: string,
  packages: readonly string[],
  more: readonly string[] = [],
  signal?: AbortSignal,
): Promise<void> {
  const options = ["--ignore-scripts", "--no-audit", "--no-fund", "--no-save", "--legacy-peer-deps"];
  try {
    await promisify(execFile)("npm", ["install", "--prefix", folder, ...options, ...more, ...packages], { signal });
  } catch (cause) {
    signal?.throwIfAborted();
    const { code, stderr } = cause as { code?: unknown; stderr?: unknown };
    if (code === "ENOENT")
      throw new InputError("npm is not found; it comes with Node, and the packages of images are fetched with it", {
        cause,
      });
    const reason = /npm (?:error|ERR!) (?!code)(.+)/.exec(String(stderr))?.[1] ?? "npm says no more";
    throw new FetchError(`${packages.join(", ")}: npm could not fetch it: ${reason}`, { cause, canRetry: true });
  }
}
