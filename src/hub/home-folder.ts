// The user's home folder, which may not exist.

import { homedir, userInfo } from "node:os";
import { isAbsolute } from "node:path";
import { InputError } from "../errors.ts";

/** HOME, or the system's entry for the user. A container's user may have neither; the error then suggests `variable` for `what`. */
export function homeFolder(what: string, variable: string): string {
  for (const find of [homedir, () => userInfo().homedir]) {
    try {
      const path = find();
      if (isAbsolute(path)) return path;
    } catch {
      // Try the next one.
    }
  }
  throw new InputError(`There is no home folder for ${what}: set ${variable} to a folder`, {
    code: "invalid_option",
  });
}
