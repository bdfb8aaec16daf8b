// Downloads packages with the npm client into their own folder; install scripts never run.

import { execFile } from "node:child_process";
import { promisify } from "node:util";
import { FetchError, InputError } from "../../errors.ts";

/** Installs packages (name@version) and their dependencies into `folder`/node_modules; `more` are npm options. */
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
      throw new InputError("npm is not found. It comes with Node, and is needed to download packages", {
        cause,
      });
    const reason = /npm (?:error|ERR!) (?!code)(.+)/.exec(String(stderr))?.[1] ?? "npm gave no reason";
    throw new FetchError(`${packages.join(", ")}: npm could not download it: ${reason}`, { cause, canRetry: true });
  }
}
