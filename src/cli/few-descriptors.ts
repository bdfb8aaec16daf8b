// An import opens all files of a module's graph at once, some 150 for a command. If a process may not open that many
// (ulimit -n), `require` loads the same modules one by one.

import { closeSync, openSync } from "node:fs";
import { createRequire } from "node:module";

/** With this many to spare, an import does not fail. */
const PLENTY = 200;

/** Unless enough descriptors are free, preloads a module of this folder so that importing it opens no file. */
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
