// Several files of rows as one source, in the given order: each is indexed in one pass, and an item is found by its number over all.

import { createHash, type Hash } from "node:crypto";
import { InputError, quote } from "../errors.ts";
import type { OpenFile } from "../files/open-file.ts";
import { findLast } from "./growing-numbers.ts";

export interface IndexedFile {
  readonly file: OpenFile;
  readonly count: number;
}

export interface JoinedFiles<T extends IndexedFile> {
  readonly count: number;
  /** Hash of the files' contents, or of a part of them. */
  readonly fingerprint: string;
  /** The file of an item, and the item's number in it. */
  find(index: number): readonly [file: T, at: number];
  close(): Promise<void>;
}

/** Opens files; `index` hashes what identifies them. Throws an InputError that ends with `nothing` if they have no items. */
export async function joinFiles<T extends IndexedFile>(
  paths: readonly string[],
  index: (path: string, hash: Hash) => Promise<T>,
  nothing: string,
): Promise<JoinedFiles<T>> {
  const hash = createHash("sha256");
  const files: T[] = [];
  const close = async () => {
    for (const { file } of files) await file.close();
  };
  try {
    for (const path of paths) files.push(await index(path, hash));
    const firsts = new Float64Array(files.length);
    for (let i = 1; i < files.length; i++) firsts[i] = firsts[i - 1]! + files[i - 1]!.count;
    const count = files.reduce((sum, file) => sum + file.count, 0);
    if (count === 0) throw new InputError(`${quote(paths[0])}: ${nothing}`);
    const find = (item: number) => {
      const f = findLast(firsts, item);
      return [files[f]!, item - firsts[f]!] as const;
    };
    return { count, fingerprint: hash.digest("hex").slice(0, 16), find, close };
  } catch (error) {
    await close();
    throw error;
  }
}
