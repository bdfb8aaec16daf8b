// Files of a model come from strangers: only plain files are read, of a size that is known before, and nothing is waited for.

import type { Stats } from "node:fs";
import { stat } from "node:fs/promises";
import { excerpt, ModelError } from "../errors.ts";
import { OpenFile } from "./open-file.ts";
import { systemReason } from "./system-error.ts";

/**
 * The bytes of a file, or undefined where there is none. Throws a ModelError, naming it, when it is no plain file, larger than
 * `maxBytes`, or cannot be read.
 */
export async function readPlainFile(path: string, maxBytes: number): Promise<Uint8Array | undefined> {
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
    if (info.size > maxBytes) {
      throw new ModelError(`${path} has ${info.size} bytes; at most ${maxBytes} are read`);
    }
    return await readUpTo(file, info.size);
  } catch (error) {
    throw error instanceof ModelError ? error : cannotRead(path, error as NodeJS.ErrnoException);
  } finally {
    await file.close();
  }
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

/** No more than its size said, even if the file grows meanwhile. */
async function readUpTo(file: OpenFile, size: number): Promise<Uint8Array> {
  const bytes = new Uint8Array(size);
  let done = 0;
  while (done < size) {
    const { bytesRead } = await file.read(bytes, done, size - done, done);
    if (bytesRead === 0) break;
    done += bytesRead;
  }
  return bytes.subarray(0, done);
}

/** What other programs leave where a model's file should be, by its first bytes. */
const strangers: readonly (readonly [signature: Uint8Array, what: string])[] = [
  [
    new TextEncoder().encode("version "),
    "is a pointer of Git LFS, not the file itself: run `git lfs pull` in its folder, or fetch the model with `kelix pull`",
  ],
  [Uint8Array.of(0, 5, 0x16, 7), "is a side file of macOS (AppleDouble), not the file that it belongs to"],
];

/** Throws a ModelError when a file begins as a pointer of Git LFS or a side file of macOS does. */
export function refuseStrangers(begin: Uint8Array, file: string): void {
  for (const [signature, what] of strangers) {
    if (signature.every((byte, i) => begin[i] === byte)) throw new ModelError(`${file}: ${what}`);
  }
}

/** Whether macOS made an entry of a folder, beside a file of that name, on a disk that has no place for its notes. */
export function isSideFile(name: string): boolean {
  return name.startsWith("._");
}
