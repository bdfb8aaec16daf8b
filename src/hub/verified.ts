// Records which cached files were verified by hash. A pull writes a record per commit; files with unchanged size and
// time are not read again, and a load that finds another size knows that a file is damaged.
//
//   models--owner--name/kelix/COMMIT.json      { "files": { PATH: { "hash", "sizeBytes", "mtimeMs" } } }

import { readdir, readFile, stat } from "node:fs/promises";
import { dirname, join } from "node:path";
import * as z from "zod";
import { OpenFile } from "../files/open-file.ts";
import { replaceFile, writeAll } from "../output/atomic-file.ts";
import { hashFile } from "./blob-hash.ts";
import type { RepoCache } from "./cache.ts";
import type { RepoFile } from "./listing.ts";
import { makeFolder } from "./make-folder.ts";

export interface VerifiedFile {
  readonly hash: string;
  readonly sizeBytes: number;
  readonly mtimeMs: number;
}

const recordSchema = z.object({
  files: z.record(z.string(), z.object({ hash: z.string(), sizeBytes: z.number(), mtimeMs: z.number() })),
});

/** By path in the repository; empty if there is no record, as after the Python library. */
export async function readRecord(path: string): Promise<ReadonlyMap<string, VerifiedFile>> {
  try {
    const { files } = recordSchema.parse(JSON.parse(await readFile(path, "utf8")));
    return new Map(Object.entries(files));
  } catch {
    return new Map();
  }
}

/** The records of a repository's contents, from all commits. */
export class VerifiedContents {
  readonly #known = new Set<string>();
  readonly #places = new Map<string, string[]>();

  static async read(cache: RepoCache): Promise<VerifiedContents> {
    const contents = new VerifiedContents();
    const folder = dirname(cache.record("any"));
    for (const name of await readdir(folder).catch(() => [])) {
      const snapshot = cache.snapshot(name.replace(/\.json$/, ""));
      for (const [path, file] of await readRecord(join(folder, name))) {
        contents.#known.add(keyOf(file));
        contents.#places.set(file.hash, [...contents.places(file.hash), join(snapshot, path)]);
      }
    }
    return contents;
  }

  /** Where a content may be besides its blob: without links, snapshots contain the files themselves. */
  places(hash: string): readonly string[] {
    return this.#places.get(hash) ?? [];
  }

  /**
   * The file at `path` or behind its link, if it has this content; undefined if it is missing or different. It is hashed unless
   * recorded, and then recorded.
   */
  async find(path: string, { hash, sizeBytes }: RepoFile, signal?: AbortSignal): Promise<VerifiedFile | undefined> {
    const info = await stat(path).catch(() => undefined);
    if (!info?.isFile() || info.size !== sizeBytes) return undefined;
    const found = { hash, sizeBytes, mtimeMs: info.mtimeMs };
    if (this.#known.has(keyOf(found))) return found;
    const digest = await hashPath(path, hash, signal).catch(() => undefined);
    signal?.throwIfAborted();
    if (digest !== hash) return undefined;
    this.add(found);
    return found;
  }

  add(file: VerifiedFile): void {
    this.#known.add(keyOf(file));
  }
}

async function hashPath(path: string, name: string, signal?: AbortSignal): Promise<string> {
  const file = await OpenFile.open(path);
  try {
    return await hashFile(file, name, signal);
  } finally {
    await file.close();
  }
}

function keyOf({ hash, sizeBytes, mtimeMs }: VerifiedFile): string {
  return `${hash} ${sizeBytes} ${mtimeMs}`;
}

/** Records the files found in a commit's snapshot, in addition to earlier pulls' records. */
export async function writeRecord(
  cache: RepoCache,
  commit: string,
  files: ReadonlyMap<string, VerifiedFile>,
): Promise<void> {
  const path = cache.record(commit);
  const earlier = await readRecord(path);
  const isNew = [...files].some(([name, file]) => keyOf(file) !== keyOf(earlier.get(name) ?? { ...file, hash: "" }));
  if (!isNew) return;
  const merged = new Map(earlier);
  for (const [name, { sizeBytes }] of earlier) {
    const info = await stat(join(cache.snapshot(commit), name)).catch(() => undefined);
    if (info?.size !== sizeBytes) merged.delete(name);
  }
  for (const [name, file] of files) merged.set(name, file);
  await makeFolder(dirname(path));
  const text = JSON.stringify({ files: Object.fromEntries(merged) });
  await replaceFile(path, (file) => writeAll(file, Buffer.from(text)));
}
