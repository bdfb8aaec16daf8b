// A folder of the disk as a model's files. They come from strangers: only plain files are read, and nothing is waited for.

import type { Stats } from "node:fs";
import { readdir, realpath, stat } from "node:fs/promises";
import { basename, dirname, join } from "node:path";
import { excerpt, ModelError } from "../errors.ts";
import { absent, type ModelFile, type ModelFiles } from "./model-files.ts";
import { OpenFile } from "./open-file.ts";
import { systemReason } from "./system-error.ts";

/** The files below a folder; nothing is looked at yet. */
export function folderFiles(path: string): ModelFiles {
  return {
    name: path,
    nameOf: (name) => join(path, name),
    async list() {
      const entries = await readdir(path, { withFileTypes: true }).catch((error: NodeJS.ErrnoException) => {
        throw new ModelError(`${path}: cannot be read: ${systemReason(error)}`, { cause: error });
      });
      // Links count: a folder may be put together from checkpoints that lie elsewhere.
      return entries.map((entry) => ({ name: entry.name, isFolder: entry.isDirectory() || entry.isSymbolicLink() }));
    },
    open: (name) => openPlainFile(join(path, name)),
    folder: (name) => folderFiles(join(path, name)),
  };
}

/** The folder that a path is in, and its name there: for a single file. */
export function fileAt(path: string): readonly [files: ModelFiles, name: string] {
  return [folderFiles(dirname(path)), basename(path)];
}

/** Opens a file; undefined where there is none. Throws a ModelError, naming it, when it is no plain file or cannot be read. */
async function openPlainFile(path: string): Promise<ModelFile | undefined> {
  const isHere = await statPlainFile(path).catch((error: unknown) => {
    if (isAbsence(error)) return undefined;
    throw error;
  });
  if (!isHere) return undefined;
  const file = await OpenFile.open(path).catch((error: NodeJS.ErrnoException) => {
    throw cannotRead(path, error);
  });
  try {
    // Again, of what was opened: the name may mean something else by now.
    const info = await file.stat();
    refuseUnlessPlain(path, info);
    return {
      name: path,
      sizeBytes: info.size,
      diskPath: await realpath(path),
      read: (into, position) => read(file, path, into, position),
      close: () => file.close(),
    };
  } catch (error) {
    await file.close();
    throw error instanceof ModelError ? error : cannotRead(path, error as NodeJS.ErrnoException);
  }
}

/** As openPlainFile, of a file that must be there. */
export async function openFileAt(path: string): Promise<ModelFile> {
  const file = await openPlainFile(path);
  if (!file) throw absent(path);
  return file;
}

/** Linux moves at most 2 GiB - 4 KiB in one call. */
const MAX_READ_BYTES = 2 ** 30;

async function read(file: OpenFile, path: string, into: Uint8Array, position: number): Promise<number> {
  const length = Math.min(into.length, MAX_READ_BYTES);
  const { bytesRead } = await file.read(into, 0, length, position).catch((error: NodeJS.ErrnoException) => {
    throw cannotRead(path, error);
  });
  return bytesRead;
}

/** Facts about a plain file; throws a ModelError where there is none, or something else. */
export async function statPlainFile(path: string): Promise<Stats> {
  const info = await stat(path).catch((error: NodeJS.ErrnoException) => {
    throw cannotRead(path, error);
  });
  refuseUnlessPlain(path, info);
  return info;
}

/** Whether an error says that there is no such file. */
function isAbsence(error: unknown): boolean {
  const code = error instanceof ModelError && (error.cause as NodeJS.ErrnoException | undefined)?.code;
  return code === "ENOENT" || code === "ENOTDIR";
}

function cannotRead(path: string, error: NodeJS.ErrnoException): ModelError {
  return new ModelError(`${excerpt(path)}: cannot be read: ${systemReason(error)}`, { cause: error });
}

function refuseUnlessPlain(path: string, info: Stats): void {
  if (info.isFile()) return;
  const kind = info.isDirectory() ? "a folder" : info.isFIFO() ? "a pipe" : info.isSocket() ? "a socket" : "a device";
  throw new ModelError(`${path} is ${kind}, wanted a file`);
}
