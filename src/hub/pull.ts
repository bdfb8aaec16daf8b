// Brings a model's repository from the Hub into the cache, or finds that it is there.

import { basename } from "node:path";
import { FetchError, InputError, quote } from "../errors.ts";
import type { PullOptions } from "../options.ts";
import { readOptions } from "../read-options.ts";
import { type CachedFile, findSnapshot, isModelComplete, listSnapshot, repoCache, writeRef } from "./cache.ts";
import { fetchFiles } from "./fetch-files.ts";

import { formatHubName, type HubName, parseHubName } from "./hub-name.ts";
import { readListing } from "./listing.ts";
import { withLock } from "./lock.ts";
import { selectFiles } from "./model-files.ts";
import { type HubSettings, readHubSettings } from "./settings.ts";

export interface PullResult extends HubName {
  readonly commit: string;
  /** The folder to load. */
  readonly path: string;
  readonly files: readonly CachedFile[];
  /** Files of the repository that were not wanted. Empty when offline: nobody was asked. */
  readonly leftOut: readonly CachedFile[];
  readonly totalBytes: number;
  /** What came over the network this time. */
  readonly fetchedBytes: number;
}

/**
 * Fetches what a model needs of the repository `name` ("owner/name"). A pull that was cut goes on where it was. Throws a FetchError for
 * what the Hub refuses or the disk has no room for, and the signal's reason at its abort.
 */
export async function pullModel(name: string, options: PullOptions = {}): Promise<PullResult> {
  return pull(name, readOptions("pullModel", options));
}

/** As `pullModel`, with options that are checked. */
export async function pull(name: string, options: PullOptions): Promise<PullResult> {
  const hubName = typeof name === "string" ? parseHubName(name, options.revision) : undefined;
  if (!hubName)
    throw new InputError(`Expected a repository of the Hub as owner/name or owner/name@revision, got ${quote(name)}`);
  const settings = options.settings ?? (await readHubSettings());
  if (settings.isOffline) return readCached(settings, hubName);
  const { lock } = repoCache(settings.cacheFolder, hubName.repo);
  return withLock(lock, options, () => pullUnlocked(settings, hubName, options));
}

/** The folder of a Hub model: as it lies in the cache if it is complete there, else after a pull. Throws as `pullModel` does. */
export async function openHubModel(name: HubName, options: PullOptions = {}): Promise<string> {
  const settings = options.settings ?? (await readHubSettings());
  const cached = await findSnapshot(settings.cacheFolder, name);
  if (cached && (await isModelComplete(cached))) return cached;
  return (await pull(name.repo, { ...options, settings, revision: name.revision })).path;
}

async function readCached({ cacheFolder }: HubSettings, name: HubName): Promise<PullResult> {
  const path = await findSnapshot(cacheFolder, name);
  if (!path || !(await isModelComplete(path))) {
    const text = formatHubName(name);
    const state = path ? "is not complete" : "is not";
    throw new FetchError(
      `${text} ${state} in the cache at ${cacheFolder}, and HF_HUB_OFFLINE is set. Where there is a network: kelix pull ${text}`,
    );
  }
  const files = await listSnapshot(path);
  return { ...name, commit: basename(path), path, files, leftOut: [], totalBytes: sumBytes(files), fetchedBytes: 0 };
}

async function pullUnlocked(settings: HubSettings, name: HubName, options: PullOptions): Promise<PullResult> {
  const { commit, files } = await readListing(settings, name, options.signal);
  const { wanted, leftOut } = selectFiles(files, options.include);
  if (wanted.length === 0) {
    const sought = options.include?.length ? `matches ${options.include.join(", ")}` : "is one that a model needs";
    throw new FetchError(`${formatHubName(name)}: none of its ${files.length} files ${sought}`);
  }
  const cache = repoCache(settings.cacheFolder, name.repo);
  const fetchedBytes = await fetchFiles(settings, cache, { repo: name.repo, commit, files: wanted }, options);
  await writeRef(cache, name.revision, commit);
  const plain = (list: typeof files) => list.map(({ path, sizeBytes }) => ({ path, sizeBytes }));
  return {
    ...name,
    commit,
    path: cache.snapshot(commit),
    files: plain(wanted),
    leftOut: plain(leftOut),
    totalBytes: sumBytes(wanted),
    fetchedBytes,
  };
}

function sumBytes(files: readonly CachedFile[]): number {
  return files.reduce((sum, { sizeBytes }) => sum + sizeBytes, 0);
}
