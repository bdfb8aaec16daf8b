// Downloads a model's repository from the Hub into the cache, unless it is already there.

import { stat } from "node:fs/promises";
import { basename, dirname } from "node:path";
import { FetchError, InputError, quote } from "../errors.ts";
import { formatHubName, type HubName, parseHubName } from "../files/hub-name.ts";
import type { RetryOptions } from "../files/retry.ts";
import { publicUrl } from "../files/safe-url.ts";
import { fileFilter } from "../files/wanted-files.ts";
import type { PullOptions } from "../options.ts";
import { readOptions } from "../read-options.ts";
import { type CachedFile, findFault, findSnapshot, listSnapshot, repoCache, writeRef } from "./cache.ts";
import { diskError, diskReason, diskWay, isDiskFull, isSystemError } from "./disk-error.ts";
import { fetchFiles, takeInventory } from "./fetch-files.ts";
import { formatBytes, formatSeconds } from "./format-bytes.ts";
import { type Listing, readListing } from "./listing.ts";
import { withLock } from "./lock.ts";
import { type HubSettings, readHubSettings } from "./settings.ts";

export interface PullResult extends HubName {
  readonly commit: string;
  /** The folder to load. */
  readonly path: string;
  readonly files: readonly CachedFile[];
  /** Files of the repository that were not wanted. Empty when offline, because the Hub was not asked. */
  readonly leftOut: readonly CachedFile[];
  readonly totalBytes: number;
  /** Bytes downloaded by this call. */
  readonly fetchedBytes: number;
}

/**
 * Downloads what a model needs from the repository `name` ("owner/name"). An interrupted pull resumes. Throws a FetchError if
 * the Hub refuses or the disk is full, and the signal's reason on abort.
 */
export async function pullModel(name: string, options: PullOptions = {}): Promise<PullResult> {
  return pull(name, readOptions("pullModel", options));
}

/** Whether a text is the name of a repository: "owner/name" or "owner/name@revision". */
export function isHubName(text: string): boolean {
  return parseHubName(text) !== undefined;
}

/** Like `pullModel`, with checked options. */
export async function pull(name: string, options: PullOptions): Promise<PullResult> {
  const hubName = typeof name === "string" ? parseHubName(name, options.revision) : undefined;
  if (!hubName && typeof name === "string" && parseHubName(name))
    throw new InputError(`Expected \`revision\` to be a branch, a tag or a commit, got ${quote(options.revision)}`, {
      code: "invalid_option",
    });
  if (!hubName)
    throw new InputError(
      `Expected a repository of the Hub as owner/name or owner/name@revision, got ${quote(typeof name === "string" ? publicUrl(name) : name)}`,
    );
  const settings = options.settings ?? (await readHubSettings());
  if (settings.isOffline) return readCached(settings, hubName);
  const work = new Pull(settings, hubName, options);
  const { signal } = options;
  const onWait = () => options.onWait?.({ message: `${hubName.repo} is being fetched by another process` });
  let isLocked = false;
  try {
    return await withLock(repoCache(settings.cacheFolder, hubName.repo).lock, { signal, onWait }, (lost) => {
      isLocked = true;
      return work.fetch(signal ? AbortSignal.any([lost, signal]) : lost);
    });
  } catch (error) {
    if (isLocked) throw diskError(error, hubName.repo, settings.cacheFolder, 0);
    if (!isSystemError(error)) throw error;
    return work.findWhole(error);
  }
}

/** The folder of a Hub model: from the cache if it is complete there, else after a pull. Throws like `pullModel`. */
export async function openHubModel(name: HubName, options: PullOptions = {}): Promise<string> {
  const settings = options.settings ?? (await readHubSettings());
  const cached = await findSnapshot(settings.cacheFolder, name);
  if (cached && (await findFault(cached)) === undefined) return cached;
  return (await pull(name.repo, { ...options, settings, revision: name.revision })).path;
}

async function readCached({ cacheFolder }: HubSettings, name: HubName): Promise<PullResult> {
  const path = await findSnapshot(cacheFolder, name);
  const fault = path && (await findFault(path));
  if (!path || fault !== undefined) {
    const text = formatHubName(name);
    const state = path
      ? `is not complete in the cache at ${cacheFolder} (${fault})`
      : `is not in the cache at ${cacheFolder}`;
    throw new FetchError(`${text} ${state}, and HF_HUB_OFFLINE is set. With a network: kelix pull ${text}`);
  }
  const files = await listSnapshot(path);
  return { ...name, commit: basename(path), path, files, leftOut: [], totalBytes: sumBytes(files), fetchedBytes: 0 };
}

/** One pull of one repository. */
class Pull {
  readonly #settings: HubSettings;
  readonly #name: HubName;
  readonly #options: PullOptions;
  /** The end of the last reported pause: concurrent downloads are asked for the same one. */
  #pausedUntilMs = Number.NEGATIVE_INFINITY;

  constructor(settings: HubSettings, name: HubName, options: PullOptions) {
    this.#settings = settings;
    this.#name = name;
    this.#options = options;
  }

  get #cache() {
    return repoCache(this.#settings.cacheFolder, this.#name.repo);
  }

  async fetch(signal: AbortSignal): Promise<PullResult> {
    const { repo, revision } = this.#name;
    const listing = await this.#list(signal);
    const { commit, wanted: files } = listing;
    const options = { ...this.#options, signal, onPause: this.#onPause };
    const fetchedBytes = await fetchFiles(this.#settings, this.#cache, { repo, commit, files }, options);
    await writeRef(this.#cache, revision, commit).catch((error: unknown) => {
      // A complete cache that belongs to another user needs no record.
      if (fetchedBytes > 0) throw error;
    });
    return this.#result(listing, fetchedBytes);
  }

  /** The result of a pull that needs no writing; else throws why the cache cannot be written. */
  async findWhole(refusal: NodeJS.ErrnoException): Promise<PullResult> {
    const { signal } = this.#options;
    const { cacheFolder } = this.#settings;
    const text = formatHubName(this.#name);
    const reason = `it cannot be written: ${diskReason(refusal)}. ${diskWay(refusal)}`;
    const isKnown = await stat(dirname(this.#cache.snapshot("any"))).catch(() => undefined);
    // If there is no room, the Hub says how much is needed.
    if (!isKnown && !isDiskFull(refusal))
      throw new FetchError(`${text} is not in the cache at ${cacheFolder}, and ${reason}`, { cause: refusal });
    const listing = await this.#list(signal);
    const { unplaced, missingBytes } = await takeInventory(this.#cache, listing.commit, listing.wanted, signal);
    if (unplaced.length === 0) return this.#result(listing, 0);
    throw new FetchError(
      `${text} is not complete in the cache at ${cacheFolder}: ${unplaced[0]!.path} is missing or damaged, ` +
        `${formatBytes(missingBytes)} must be downloaded, and ${reason}`,
      { cause: refusal },
    );
  }

  async #list(signal: AbortSignal | undefined): Promise<Listing> {
    const { include } = this.#options;
    const options = { signal, onPause: this.#onPause };
    const listing = await readListing(this.#settings, this.#name, fileFilter(include), options);
    if (listing.wanted.length > 0) return listing;
    const sought = include?.length ? `matches ${include.join(", ")}` : "is needed by a model";
    throw new FetchError(`${formatHubName(this.#name)}: none of its ${listing.leftOut.length} files ${sought}`);
  }

  readonly #onPause: RetryOptions["onPause"] = (waitMs, { message }) => {
    const untilMs = performance.now() + waitMs;
    if (untilMs < this.#pausedUntilMs + 1000) return;
    this.#pausedUntilMs = untilMs;
    this.#options.onWait?.({ message: `${message}: asked to wait ${formatSeconds(waitMs / 1000)}`, waitMs });
  };

  #result({ commit, wanted, leftOut }: Listing, fetchedBytes: number): PullResult {
    const plain = (list: typeof wanted) => list.map(({ path, sizeBytes }) => ({ path, sizeBytes }));
    return {
      ...this.#name,
      commit,
      path: this.#cache.snapshot(commit),
      files: plain(wanted),
      leftOut: plain(leftOut),
      totalBytes: sumBytes(wanted),
      fetchedBytes,
    };
  }
}

function sumBytes(files: readonly CachedFile[]): number {
  return files.reduce((sum, { sizeBytes }) => sum + sizeBytes, 0);
}
