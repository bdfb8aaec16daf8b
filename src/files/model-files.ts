// Where a model's bytes are. A driver says what a folder holds and opens a file in it: folder.node.ts for the disk, memory.ts for
// files that are in memory, http.ts for a server. Paths are relative to the folder, with "/" between their parts.

import { excerpt, ModelError } from "../errors.ts";

export interface FolderEntry {
  readonly name: string;
  readonly isFolder: boolean;
}

/** An open file. */
export interface ModelFile {
  /** For messages. */
  readonly name: string;
  readonly sizeBytes: number;
  /** Where the disk has it, links resolved, if it has: ONNX Runtime maps it there, and rejects links that lead out of the folder. */
  readonly diskPath?: string;
  /** Fills `into` from a position on; resolves with how many bytes came, which is 0 only at the end. */
  read(into: Uint8Array, position: number): Promise<number>;
  close(): Promise<void>;
}

export interface ModelFiles {
  /** Of the folder, for messages: its path or address. */
  readonly name: string;
  /** The name of a file in it, for messages. */
  nameOf(path: string): string;
  /** What the folder itself holds. Throws a ModelError where it cannot be read. */
  list(): Promise<readonly FolderEntry[]>;
  /** Undefined where there is no such file; throws a ModelError where it cannot be opened, or is no plain file. */
  open(path: string): Promise<ModelFile | undefined>;
  /** The folder of that name in this one. */
  folder(name: string): ModelFiles;
}

/** The bytes of a file, or undefined where there is none. Throws a ModelError when it has more than `maxBytes`. */
export async function readWhole(files: ModelFiles, path: string, maxBytes: number): Promise<Uint8Array | undefined> {
  const file = await files.open(path);
  if (!file) return undefined;
  try {
    if (file.sizeBytes > maxBytes)
      throw new ModelError(`${file.name} has ${file.sizeBytes} bytes; at most ${maxBytes} are read`);
    const bytes = new Uint8Array(file.sizeBytes);
    return bytes.subarray(0, await readUpTo(file, 0, bytes));
  } finally {
    await file.close();
  }
}

/** Fills `bytes` from a position on, as far as the file goes; resolves with how many bytes came. */
export async function readUpTo(file: Pick<ModelFile, "read">, position: number, bytes: Uint8Array): Promise<number> {
  let done = 0;
  while (done < bytes.length) {
    const count = await file.read(bytes.subarray(done), position + done);
    if (count === 0) break;
    done += count;
  }
  return done;
}

/** As readUpTo; throws a ModelError where the file ends before that. */
export async function readInto(
  file: Pick<ModelFile, "read" | "name">,
  position: number,
  bytes: Uint8Array,
): Promise<void> {
  const done = await readUpTo(file, position, bytes);
  if (done < bytes.length) throw new ModelError(`${file.name}: ends at byte ${position + done} while it is read`);
}

/** The last part of a path or an address. */
export function baseName(path: string): string {
  return /([^/\\]*)[/\\]*$/.exec(path)![1]!;
}

/** That there is no such file, in a sentence. */
export function absent(name: string): ModelError {
  return new ModelError(`${excerpt(name)}: cannot be read: there is no such file`);
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
