// The Hugging Face cache on disk, in the Python library's layout, so that each finds what the other fetched:
//
//   models--owner--name/blobs/HASH                 the contents, named by hash; HASH.UUID.incomplete during download
//   models--owner--name/snapshots/COMMIT/PATH      the repository's files: links to blobs
//   models--owner--name/refs/REVISION              the commit of a branch or tag when last asked
//   models--owner--name/kelix/COMMIT.json          which files of a snapshot were verified (verified.ts)
//
// A file with a final name is complete. Refs are written after all files.

import { readdir, readFile, stat } from "node:fs/promises";
import { basename, dirname, join, sep } from "node:path";
import type { HubName } from "../files/hub-name.ts";
import { replaceFile, writeAll } from "../output/atomic-file.ts";
import { isCommit } from "./commit.ts";
import { makeFolder } from "./make-folder.ts";
import { readRecord } from "./verified.ts";

export interface CachedFile {
  /** Path in the repository, with "/" separators. */
  readonly path: string;
  readonly sizeBytes: number;
}

/** The paths of one repository in the cache. */
export interface RepoCache {
  readonly blob: (hash: string) => string;
  readonly snapshot: (commit: string) => string;
  readonly ref: (revision: string) => string;
  readonly record: (commit: string) => string;
  readonly lock: string;
}

export function repoCache(cacheFolder: string, repo: string): RepoCache {
  const name = `models--${repo.replace("/", "--")}`;
  const folder = join(cacheFolder, name);
  return {
    blob: (hash) => join(folder, "blobs", hash),
    snapshot: (commit) => join(folder, "snapshots", commit),
    ref: (revision) => join(folder, "refs", revision),
    record: (commit) => join(folder, "kelix", `${commit}.json`),
    lock: join(cacheFolder, ".locks", name, "kelix.lock"),
  };
}

/** The folder of a revision's files, complete or not; undefined if it was never fetched. */
export async function findSnapshot(cacheFolder: string, { repo, revision }: HubName): Promise<string | undefined> {
  const cache = repoCache(cacheFolder, repo);
  const ref = isCommit(revision) ? revision : await readFile(cache.ref(revision), "utf8").catch(() => "");
  if (!isCommit(ref.trim())) return undefined;
  const path = cache.snapshot(ref.trim());
  const info = await stat(path).catch(() => undefined);
  return info?.isDirectory() ? path : undefined;
}

/** All files of a snapshot, without dangling links. */
export async function listSnapshot(snapshot: string): Promise<CachedFile[]> {
  const found = (await readdir(snapshot, { recursive: true })).map(async (path): Promise<CachedFile[]> => {
    const sizeBytes = await sizeOf(join(snapshot, path));
    return sizeBytes === undefined ? [] : [{ path: path.split(sep).join("/"), sizeBytes }];
  });
  return (await Promise.all(found)).flat();
}

/**
 * Why a snapshot cannot be loaded: no config, no weights beside it or beside a part's config, a file missing from a weight
 * index, or one whose size has changed since it was verified. Undefined if it can.
 */
export async function findFault(snapshot: string): Promise<string | undefined> {
  const files = await listSnapshot(snapshot).catch(({ code }: NodeJS.ErrnoException) => `it cannot be read (${code})`);
  if (typeof files === "string") return files;
  const sizes = new Map(files.map(({ path, sizeBytes }) => [path, sizeBytes]));
  // The record of commit C is beside the folder of snapshots.
  const record = await readRecord(join(snapshot, "..", "..", "kelix", `${basename(snapshot)}.json`));
  for (const [path, { sizeBytes }] of record) {
    const found = sizes.get(path);
    if (found !== sizeBytes)
      return `${path} ${found === undefined ? "is missing" : `has ${found} of ${sizeBytes} bytes`}`;
  }
  const paths = [...sizes.keys()];
  const hasWeights = (folder: string) => paths.some((path) => path.startsWith(folder) && path.endsWith(".safetensors"));
  if (!sizes.has("config.json")) return "config.json is missing";
  if (!hasWeights("")) return "it has no weights";
  for (const path of paths) {
    const folder = path.slice(0, path.lastIndexOf("/") + 1);
    if (path.endsWith("/config.json") && !hasWeights(folder) && (await isNetwork(join(snapshot, path))))
      return `${folder} has no weights`;
    if (!path.endsWith(".safetensors.index.json")) continue;
    const shards = await readShards(join(snapshot, path));
    const missing = shards?.find((shard) => !sizes.has(folder + shard));
    if (!shards || missing !== undefined) return shards ? `${folder}${missing} is missing` : `${path} cannot be read`;
  }
  return undefined;
}

/** Whether a config belongs to a part with weights, as written by the reference and diffusers; schedulers' do not. */
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

/** Size of a file or of a link's target; undefined if there is none. */
export async function sizeOf(path: string): Promise<number | undefined> {
  const info = await stat(path).catch(() => undefined);
  return info?.isFile() ? info.size : undefined;
}

/** Records the commit of a branch or tag. */
export async function writeRef(cache: RepoCache, revision: string, commit: string): Promise<void> {
  if (isCommit(revision)) return;
  const path = cache.ref(revision);
  if ((await readFile(path, "utf8").catch(() => "")).trim() === commit) return;
  await makeFolder(dirname(path));
  await replaceFile(path, (file) => writeAll(file, Buffer.from(commit)));
}
