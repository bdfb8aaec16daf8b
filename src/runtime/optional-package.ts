// Packages that some parts of Kelix need and the rest does not. They are not installed with it: docs/jobs.md and docs/server.md name them.

import { KelixError } from "../errors.ts";

/** Imports one of them. Throws a KelixError that says how to install what is missing. */
export async function needPackage<T>(load: () => Promise<T>, what: string, packages: string): Promise<T> {
  try {
    return await load();
  } catch (cause) {
    if ((cause as NodeJS.ErrnoException).code !== "ERR_MODULE_NOT_FOUND") throw cause;
    throw new KelixError(`${what} needs packages that are not installed with kelix: npm install ${packages}`, {
      cause,
    });
  }
}
