// Creates a folder and its missing parents. Node's own `mkdir(path, { recursive: true })` never returns on a file system
// that answers ENOENT for a new folder in an existing one, as /proc does.

import { mkdir, stat } from "node:fs/promises";
import { dirname, resolve } from "node:path";
import { InputError, quote } from "../errors.ts";
import { systemReason } from "../files/system-error.ts";

/** The topmost folder created; undefined if all existed. Throws the system's error. */
export async function makeFolder(path: string): Promise<string | undefined> {
  const missing: string[] = [];
  let at = resolve(path);
  let found = await look(at);
  for (; !found; found = await look(at)) {
    missing.unshift(at);
    at = dirname(at);
  }
  if (missing.length === 0 && !found.isDirectory()) await mkdir(at); // EEXIST
  for (const folder of missing) {
    await mkdir(folder).catch((error: NodeJS.ErrnoException) => {
      if (error.code !== "EEXIST") throw error; // created by another process meanwhile
    });
  }
  return missing[0];
}

/** Makes a folder for output; throws an InputError that says why it cannot be made. */
export async function makeOutputFolder(path: string): Promise<void> {
  await makeFolder(path).catch((cause) => {
    throw new InputError(`${quote(path)} cannot be made: ${systemReason(cause)}`, { code: "output_refused", cause });
  });
}

async function look(path: string) {
  return stat(path).catch((error: NodeJS.ErrnoException) => {
    if (error.code === "ENOENT" && dirname(path) !== path) return undefined;
    throw error;
  });
}
