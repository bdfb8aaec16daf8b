// Shards in folders on this machine. A file is written under a temporary name in the same folder, flushed, and renamed.

import { readdir, stat } from "node:fs/promises";
import { dirname } from "node:path";
import { InputError, quote } from "../errors.ts";
import { readInput } from "../files/input.ts";
import { systemCode, systemReason } from "../files/system-error.ts";
import { makeFolder } from "../hub/make-folder.ts";
import { replaceFile } from "../output/atomic-file.ts";
import { whileWriting } from "../output/while-writing.ts";
import type { Storage } from "./storage.ts";

export const localStorage: Storage = {
  async list(path) {
    const entries = await readdir(path, { withFileTypes: true }).catch((error: unknown) => {
      if (["ENOENT", "ENOTDIR"].includes(systemCode(error) ?? "")) return undefined;
      throw new InputError(`${quote(path)}: cannot be read: ${systemReason(error)}`, { cause: error });
    });
    return entries?.map((entry) => ({ name: entry.name, isFolder: entry.isDirectory() }));
  },
  async fetch(path) {
    await stat(path).catch((cause: unknown) => {
      throw new InputError(`${quote(path)}: cannot be read: ${systemReason(cause)}`, { cause });
    });
    return path;
  },
  async read(path, maxBytes) {
    return (await sizeOf(path)) === undefined ? undefined : readInput(path, { maxBytes, code: "invalid_input" });
  },
  sizeBytes: sizeOf,
  async publish(path, write) {
    await whileWriting(path, async () => {
      await makeFolder(dirname(path));
      await replaceFile(path, write);
    });
  },
};

async function sizeOf(path: string): Promise<number | undefined> {
  const info = await stat(path).catch((error: unknown) => {
    if (systemCode(error) === "ENOENT") return undefined;
    throw error;
  });
  return info?.isFile() ? info.size : undefined;
}
