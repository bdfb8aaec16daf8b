// An import opens all files of a module's graph at once, some 150 for a command. Where a process may not have so many open
// (ulimit -n), `require` loads the same modules one after the other.

import { closeSync, openSync } from "node:fs";
import { createRequire } from "node:module";

/** With so many to spare an import does not fail. */
const PLENTY = 200;

/** Loads a module of this folder beforehand, so that importing it opens no file, unless there are descriptors enough. */
export function preload(module: string): void {
  if (hasPlenty()) return;
  createRequire(import.meta.url)(`./${module}.js`);
}

function hasPlenty(): boolean {
  const opened: number[] = [];
  try {
    for (let i = 0; i < PLENTY; i++) opened.push(openSync("/dev/null", "r"));
    return true;
  } catch (error) {
    return (error as NodeJS.ErrnoException).code !== "EMFILE";
  } finally {
    for (const fd of opened) closeSync(fd);
  }
}
