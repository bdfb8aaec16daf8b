// sharp, which decodes and encodes image files, is imported with the first of them: it takes a while, and on a system whose sharp
// was left out (npm install --omit=optional) everything else still works.

import { KelixError } from "../errors.ts";

type Sharp = typeof import("sharp").default;

let library: Promise<Sharp> | undefined;

/** Throws a KelixError where sharp, or its library for this system, is not installed. */
export function loadSharp(): Promise<Sharp> {
  library ??= import("sharp").then(
    (module) => module.default,
    (cause) => {
      library = undefined;
      throw new KelixError(
        "Images cannot be read or written: sharp is not installed for this system. Reinstall with optional packages (npm install --include=optional sharp)",
        { code: "missing_part", cause },
      );
    },
  );
  return library;
}
