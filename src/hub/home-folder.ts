// The user's home folder, which not everybody has.

import { homedir, userInfo } from "node:os";
import { isAbsolute } from "node:path";
import { InputError } from "../errors.ts";

/** HOME, or what the system has for the user. The user of a container may have neither: then `variable` is the way out for `what`. */
export function homeFolder(what: string, variable: string): string {
  for (const find of [homedir, () => userInfo().homedir]) {
    try {
      const path = find();
      if (isAbsolute(path)) return path;
    } catch {
      // The next one may know.
    }
  }
  throw new InputError(`There is no home folder for ${what}: let ${variable} name a folder`, {
    code: "invalid_option",
  });
}
