// Puts files of a repository into a snapshot of the cache: checks which contents are missing and whether there is room,
// downloads several at a time, and links all files when every content is present.

import { statfs } from "node:fs/promises";
import { dirname, join } from "node:path";
import { FetchError } from "../errors.ts";
import type { TransferOptions } from "../files/transfer.ts";
import type { RepoCache } from "./cache.ts";
import { diskError } from "./disk-error.ts";
import { type DownloadOptions, downloadBlob, findParts } from "./download.ts";
import { formatBytes } from "./format-bytes.ts";
import type { RepoFile } from "./listing.ts";
import { makeFolder } from "./make-folder.ts";
import { placeFile } from "./place-file.ts";
import type { HubSettings } from "./settings.ts";
import { VerifiedContents, type VerifiedFile, writeRecord } from "./verified.ts";

export interface FetchSource {
  readonly repo: string;
  readonly commit: string;
  readonly files: readonly RepoFile[];
}

/** A wait is told when another process is fetching the repository, and when the server asks for a pause. */
export type FetchOptions = Omit<TransferOptions, "include">;

const PARALLEL_FILES = 4;

/** One content, which several files may share. */
interface Content {
  readonly file: RepoFile;
  /** Its path, if complete. */
  source?: string;
  /** Its bytes on disk. */
  doneBytes: number;
}

/** The state of some files in the cache. */
export interface Inventory {
  /** By hash. */
  readonly contents: ReadonlyMap<string, Content>;
  /** Files that the snapshot lacks. */
  readonly unplaced: readonly RepoFile[];
  readonly placed: Map<string, VerifiedFile>;
  readonly verified: VerifiedContents;
  readonly missingBytes: number;
}

/** Looks for files in a commit's snapshot, and for missing contents elsewhere in the cache. Writes nothing. */
export async function takeInventory(
  cache: RepoCache,
  commit: string,
  files: readonly RepoFile[],
  signal?: AbortSignal,
): Promise<Inventory> {
  const verified = await VerifiedContents.read(cache);
  const contents = new Map<string, Content>();
  const placed = new Map<string, VerifiedFile>();
  const unplaced: RepoFile[] = [];
  for (const file of files) {
    const path = join(cache.snapshot(commit), file.path);
    const content = contents.get(file.hash) ?? { file, doneBytes: 0 };
    contents.set(file.hash, content);
    const found = await verified.find(path, file, signal);
    if (found) {
      placed.set(file.path, found);
      content.source ??= path;
    } else unplaced.push(file);
  }
  for (const [hash, content] of contents) {
    for (const place of [cache.blob(hash), ...verified.places(hash)])
      if (!content.source && (await verified.find(place, content.file, signal))) content.source = place;
    const [part] = content.source ? [] : await findParts(cache.blob(hash));
    content.doneBytes = content.source
      ? content.file.sizeBytes
      : Math.min(part?.sizeBytes ?? 0, content.file.sizeBytes);
  }
  return { contents, unplaced, placed, verified, missingBytes: countMissing(contents) };
}

function countMissing(contents: ReadonlyMap<string, Content>): number {
  return [...contents.values()].reduce((sum, { file, doneBytes }) => sum + file.sizeBytes - doneBytes, 0);
}

/** Downloads what is missing; returns the number of bytes downloaded. */
export async function fetchFiles(
  settings: HubSettings,
  cache: RepoCache,
  { repo, commit, files }: FetchSource,
  { signal, onProgress, onPause }: FetchOptions & Pick<DownloadOptions, "onPause">,
): Promise<number> {
  const { contents, unplaced, placed, verified, missingBytes } = await takeInventory(cache, commit, files, signal);
  const totalBytes = [...contents.values()].reduce((sum, { file }) => sum + file.sizeBytes, 0);
  const tell = () => onProgress?.({ doneBytes: totalBytes - countMissing(contents), totalBytes });
  const blobs = dirname(cache.blob("any"));
  const orDiskError = (file: string) => (error: unknown) => {
    throw diskError(error, `${repo}: ${file}`, blobs, countMissing(contents));
  };
  if (unplaced.length > 0) await makeFolder(blobs).catch(orDiskError("the folder of its files"));
  await checkSpace(blobs, missingBytes, repo);
  tell();

  const absent = [...contents.values()].filter(({ source }) => source === undefined);
  // Small ones first, so that problems show early.
  absent.sort((a, b) => a.file.sizeBytes - b.file.sizeBytes);
  await inParallel(absent, signal, async (content, signal) => {
    const { file } = content;
    const url = fileUrl(settings, repo, commit, file);
    const onSize = (sizeBytes: number) => {
      content.doneBytes = sizeBytes;
      tell();
    };
    const blob = cache.blob(file.hash);
    const options = { signal, onSize, onPause };
    verified.add(await downloadBlob(settings, url, file, blob, options).catch(orDiskError(file.path)));
    content.source = blob;
  });

  for (const [i, file] of unplaced.entries()) {
    const content = contents.get(file.hash)!;
    const path = join(cache.snapshot(commit), file.path);
    const blobPath = cache.blob(file.hash);
    const mayMove = content.source === blobPath && !unplaced.slice(i + 1).some(({ hash }) => hash === file.hash);
    const placement = { source: content.source!, path, sizeBytes: file.sizeBytes, blobPath, mayMove };
    await placeFile(placement).catch(orDiskError(file.path));
    const found = await verified.find(path, file, signal);
    if (!found)
      throw new FetchError(`${repo}: ${file.path} was damaged after it was put into ${cache.snapshot(commit)}`);
    placed.set(file.path, found);
  }
  // Without it a later load does not notice damage, and a later pull hashes the files once.
  await writeRecord(cache, commit, new Map(files.map(({ path }) => [path, placed.get(path)!]))).catch(() => undefined);
  return missingBytes;
}

function fileUrl({ endpoint }: HubSettings, repo: string, commit: string, { path }: RepoFile): string {
  return `${endpoint}/${repo}/resolve/${commit}/${path.split("/").map(encodeURIComponent).join("/")}`;
}

async function checkSpace(folder: string, neededBytes: number, repo: string): Promise<void> {
  if (neededBytes === 0) return;
  // Some network file systems report nothing, or zeros.
  const info = await statfs(folder).catch(() => undefined);
  if (!info?.blocks || neededBytes <= info.bavail * info.bsize) return;
  const free = formatBytes(info.bavail * info.bsize);
  throw new FetchError(
    `${repo} needs ${formatBytes(neededBytes)} more at ${folder}, where ${free} are free. Make room, or set HF_HOME to another folder`,
  );
}

/** Runs `work` for all items, a few at a time; the first failure stops the others, and is thrown once they have ended. */
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
