// The Hugging Face cache on the disk, as the Python library lays it out, so that each finds what the other fetched:
//
//   models--owner--name/blobs/HASH                 the contents, named by their hash; HASH.incomplete while they come
//   models--owner--name/snapshots/COMMIT/PATH      the repository's files: links to blobs
//   models--owner--name/refs/REVISION              the commit that a branch or tag stood for when it was last asked
//
// Whatever has a final name is whole. Refs are written after all files.

import { link, mkdir, readdir, readFile, rm, stat, symlink } from "node:fs/promises";
import { dirname, join, relative, sep } from "node:path";
import { replaceFile, writeAll } from "../runtime/atomic-file.ts";
import { type HubName, isCommit } from "./hub-name.ts";
import type { RepoFile } from "./listing.ts";

export interface CachedFile {
  /** In the repository, with "/" between its parts. */
  readonly path: string;
  readonly sizeBytes: number;
}

/** Places of one repository in the cache. */
export interface RepoCache {
  readonly blob: (hash: string) => string;
  readonly snapshot: (commit: string) => string;
  readonly ref: (revision: string) => string;
  readonly lock: string;
}

export function repoCache(cacheFolder: string, repo: string): RepoCache {
  const name = `models--${repo.replace("/", "--")}`;
  const folder = join(cacheFolder, name);
  return {
    blob: (hash) => join(folder, "blobs", hash),
    snapshot: (commit) => join(folder, "snapshots", commit),
    ref: (revision) => join(folder, "refs", revision),
    lock: join(cacheFolder, ".locks", name, "kelix.lock"),
  };
}

/** The folder of a revision's files, whole or not; undefined if it was never fetched. */
export async function findSnapshot(cacheFolder: string, { repo, revision }: HubName): Promise<string | undefined> {
  const cache = repoCache(cacheFolder, repo);
  const ref = isCommit(revision) ? revision : await readFile(cache.ref(revision), "utf8").catch(() => "");
  if (!isCommit(ref.trim())) return undefined;
  const path = cache.snapshot(ref.trim());
  const info = await stat(path).catch(() => undefined);
  return info?.isDirectory() ? path : undefined;
}

/** All files of a snapshot; links that lead nowhere are none. */
export async function listSnapshot(snapshot: string): Promise<CachedFile[]> {
  const found = (await readdir(snapshot, { recursive: true })).map(async (path): Promise<CachedFile[]> => {
    const sizeBytes = await sizeOf(join(snapshot, path));
    return sizeBytes === undefined ? [] : [{ path: path.split(sep).join("/"), sizeBytes }];
  });
  return (await Promise.all(found)).flat();
}

/** Whether a snapshot has a config, weights beside it and beside the config of each part, and every file that its indices of weights name. */
export async function isModelComplete(snapshot: string): Promise<boolean> {
  const paths = new Set((await listSnapshot(snapshot)).map(({ path }) => path));
  const hasWeights = (folder: string) =>
    [...paths].some((path) => path.startsWith(folder) && path.endsWith(".safetensors"));
  if (!paths.has("config.json") || !hasWeights("")) return false;
  for (const path of paths) {
    const folder = path.slice(0, path.lastIndexOf("/") + 1);
    if (path.endsWith("/config.json") && !hasWeights(folder) && (await isNetwork(join(snapshot, path)))) return false;
    if (!path.endsWith(".safetensors.index.json")) continue;
    const shards = await readShards(join(snapshot, path));
    if (!shards?.every((shard) => paths.has(folder + shard))) return false;
  }
  return true;
}

/** Whether a config is that of a part with weights, as the reference and diffusers write them: schedulers have others. */
async function isNetwork(configPath: string): Promise<boolean> {
  const text = await readFile(configPath, "utf8").catch(() => "");
  return /"(__class__|_class_name)"/.test(text);
}

async function readShards(indexPath: string): Promise<string[] | undefined> {
  try {
    const index: { weight_map?: Record<string, string> } = JSON.parse(await readFile(indexPath, "utf8"));
    return [...new Set(Object.values(index.weight_map ?? {}))];
  } catch {
    return undefined;
  }
}

/** Whether the snapshot shows this file, whole. */
export async function hasFile(cache: RepoCache, commit: string, { path, sizeBytes }: RepoFile): Promise<boolean> {
  return (await sizeOf(join(cache.snapshot(commit), path))) === sizeBytes;
}

/** Size of a file, or of what a link leads to; undefined if there is none. */
export async function sizeOf(path: string): Promise<number | undefined> {
  const info = await stat(path).catch(() => undefined);
  return info?.isFile() ? info.size : undefined;
}

/** Makes a blob appear in a snapshot under its path. Where symbolic links are not allowed, as on most Windows, by a hard link. */
export async function linkFile(cache: RepoCache, commit: string, file: RepoFile): Promise<void> {
  const path = join(cache.snapshot(commit), file.path);
  const blob = cache.blob(file.hash);
  await mkdir(dirname(path), { recursive: true });
  await rm(path, { force: true });
  try {
    await symlink(relative(dirname(path), blob), path, "file");
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code !== "EPERM") throw error;
    await link(blob, path);
  }
}

/** Writes down what a branch or tag stands for. */
export async function writeRef(cache: RepoCache, revision: string, commit: string): Promise<void> {
  if (isCommit(revision)) return;
  const path = cache.ref(revision);
  await mkdir(dirname(path), { recursive: true });
  await replaceFile(path, (file) => writeAll(file, Buffer.from(commit)));
}
