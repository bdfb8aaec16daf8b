// Makes files of a repository appear in a snapshot of the cache: sees which contents are missing and whether there is room for
// them, fetches several at a time, and links all files when every content is there.

import { mkdir, statfs } from "node:fs/promises";
import { dirname } from "node:path";
import { FetchError } from "../errors.ts";
import { hasFile, linkFile, type RepoCache, sizeOf } from "./cache.ts";
import { downloadBlob, incompletePath } from "./download.ts";

import type { RepoFile } from "./listing.ts";
import type { HubSettings } from "./settings.ts";

/** Bytes of the wanted files that are on the disk, those of earlier pulls included. */
export interface PullProgress {
  readonly doneBytes: number;
  readonly totalBytes: number;
}

export interface FetchSource {
  readonly repo: string;
  readonly commit: string;
  readonly files: readonly RepoFile[];
}

export interface FetchOptions {
  readonly signal?: AbortSignal | undefined;
  readonly onProgress?: ((progress: PullProgress) => void) | undefined;
}

const PARALLEL_FILES = 4;

/** Fetches what is missing; gives the number of bytes that had to come over the network. */
export async function fetchFiles(
  settings: HubSettings,
  cache: RepoCache,
  { repo, commit, files }: FetchSource,
  { signal, onProgress }: FetchOptions,
): Promise<number> {
  /** Bytes on the disk, by content: several files may have the same. */
  const there = new Map<string, number>();
  const absent: RepoFile[] = [];
  for (const file of files) {
    if (there.has(file.hash)) continue;
    const isThere = (await hasFile(cache, commit, file)) || (await sizeOf(cache.blob(file.hash))) === file.sizeBytes;
    if (!isThere) absent.push(file);
    const part = isThere ? file.sizeBytes : ((await sizeOf(incompletePath(cache.blob(file.hash)))) ?? 0);
    there.set(file.hash, Math.min(part, file.sizeBytes));
  }
  const missingBytes = absent.reduce((sum, { hash, sizeBytes }) => sum + sizeBytes - there.get(hash)!, 0);
  let doneBytes = [...there.values()].reduce((a, b) => a + b, 0);
  const totalBytes = doneBytes + missingBytes;

  const blobs = dirname(cache.blob("any"));
  await mkdir(blobs, { recursive: true });
  await checkSpace(blobs, missingBytes, repo);
  onProgress?.({ doneBytes, totalBytes });
  // Small ones first: what is wrong with a repository shows soon.
  absent.sort((a, b) => a.sizeBytes - b.sizeBytes);
  await inParallel(absent, signal, async (file, signal) => {
    const onSize = (sizeBytes: number) => {
      doneBytes += sizeBytes - there.get(file.hash)!;
      there.set(file.hash, sizeBytes);
      onProgress?.({ doneBytes, totalBytes });
    };
    await downloadBlob(settings, fileUrl(settings, repo, commit, file), file, cache.blob(file.hash), {
      signal,
      onSize,
    });
  });
  for (const file of files) if (!(await hasFile(cache, commit, file))) await linkFile(cache, commit, file);
  return missingBytes;
}

function fileUrl({ endpoint }: HubSettings, repo: string, commit: string, { path }: RepoFile): string {
  return `${endpoint}/${repo}/resolve/${commit}/${path.split("/").map(encodeURIComponent).join("/")}`;
}

async function checkSpace(folder: string, neededBytes: number, repo: string): Promise<void> {
  const { bavail, bsize } = await statfs(folder);
  if (neededBytes <= bavail * bsize) return;
  const gigabytes = (bytes: number) => `${(bytes / 1e9).toFixed(1)} GB`;
  throw new FetchError(
    `${repo} needs ${gigabytes(neededBytes)} more at ${folder}, where ${gigabytes(bavail * bsize)} are free; HF_HOME names another place`,
  );
}

/** Runs `work` for all items, a few at a time; the first failure stops the others, which have ended when this throws it. */
async function inParallel<T>(
  items: readonly T[],
  outer: AbortSignal | undefined,
  work: (item: T, signal: AbortSignal) => Promise<void>,
): Promise<void> {
  const failure = new AbortController();
  const signal = AbortSignal.any([failure.signal, ...(outer ? [outer] : [])]);
  const queue = items.values();
  const workers = Array.from({ length: PARALLEL_FILES }, async () => {
    try {
      for (const item of queue) await work(item, signal);
    } catch (error) {
      failure.abort(error);
    }
  });
  await Promise.all(workers);
  failure.signal.throwIfAborted();
}
