// Lists a repository at a revision. @huggingface/hub makes the requests; the answers are checked here, since file names, sizes and
// hashes come from a server and become paths and limits.

import * as z from "zod";
import { FetchError, quote } from "../errors.ts";
import { plainError } from "../files/connection-error.ts";
import { formatHubName, type HubName, isPlainPath } from "../files/hub-name.ts";
import { type RetryOptions, withRetries } from "../files/retry.ts";
import { publicUrl } from "../files/safe-url.ts";
import { isCommit } from "./commit.ts";
import { request } from "./request.ts";
import type { HubSettings } from "./settings.ts";

export interface RepoFile {
  /** Path in the repository, with "/" separators. */
  readonly path: string;
  readonly sizeBytes: number;
  /** SHA-256 of a large file (64 hex digits), git's SHA-1 of a small one (40); names the blob in the cache. */
  readonly hash: string;
}

export interface Listing {
  readonly commit: string;
  readonly wanted: readonly RepoFile[];
  readonly leftOut: readonly RepoFile[];
}

/** A model has tens of files; a far longer listing is an attack or a mistake. */
const MAX_ENTRIES = 20_000;
const MAX_PAGES = 200;
const MAX_PAGE_BYTES = 16_000_000;

const size = z.int().min(0);
const entrySchema = z.object({
  type: z.string(),
  path: z.string(),
  size,
  oid: z.string(),
  lfs: z.object({ oid: z.string(), size }).optional(),
});

/**
 * A revision's commit and files, separated into wanted and others. Throws a FetchError; wanted files with unsafe names
 * or unknown hashes are rejected, others are skipped.
 */
export async function readListing(
  settings: HubSettings,
  name: HubName,
  isWanted: (path: string) => boolean,
  { signal, onPause }: Pick<RetryOptions, "signal" | "onPause"> = {},
): Promise<Listing> {
  // Loading it takes longer than opening a local model, so it is loaded only for requests to the Hub.
  const { listFiles, modelInfo } = await import("@huggingface/hub");
  const what = formatHubName(name);
  let pages = 0;
  const ask = async (input: RequestInfo | URL): Promise<Response> => {
    if (++pages > MAX_PAGES) throw new FetchError(`${what}: the listing has more than ${MAX_PAGES} pages`);
    const send = () =>
      request(settings, String(input), { what, signal }, async ({ headers, body }) => {
        return new Response(await readText(body, what), { headers });
      });
    return withRetries(send, { backoffMs: settings.backoffMs, signal, onPause });
  };
  // The library gets no token: it would send it to whatever host the next page's link names. `request` adds it.
  const source = { hubUrl: settings.endpoint, fetch: ask };
  try {
    const { sha: commit } = await modelInfo({
      ...source,
      name: name.repo,
      revision: name.revision,
      additionalFields: ["sha"],
    });
    if (!isCommit(commit)) throw new FetchError(`${what}: expected a commit's hash, got ${quote(commit)}`);
    const wanted: RepoFile[] = [];
    const leftOut: RepoFile[] = [];
    let entries = 0;
    for await (const entry of listFiles({ ...source, repo: name.repo, revision: commit, recursive: true })) {
      if (++entries > MAX_ENTRIES) throw new FetchError(`${what}: the listing has more than ${MAX_ENTRIES} entries`);
      if (entry.type !== "file") continue;
      const file = parseEntry(entry, what);
      if (isWanted(file.path)) wanted.push(checkFile(file, what));
      else if (isPlainPath(file.path)) leftOut.push(file);
    }
    return { commit, wanted, leftOut };
  } catch (error) {
    if (error instanceof FetchError || signal?.aborted) throw error;
    const host = publicUrl(settings.endpoint);
    throw new FetchError(
      `${what}: cannot read the answer of ${host}, which is not in the Hub's format. Is a proxy or a login page answering instead?`,
      { cause: plainError(error) },
    );
  }
}

function parseEntry(entry: unknown, what: string): RepoFile {
  const parsed = entrySchema.safeParse(entry);
  if (!parsed.success)
    throw new FetchError(`${what}: malformed entry in the listing: ${quote(entry)}`, { cause: parsed.error });
  const { path, oid, lfs, size } = parsed.data;
  return { path, sizeBytes: lfs?.size ?? size, hash: lfs?.oid ?? oid };
}

function checkFile(file: RepoFile, what: string): RepoFile {
  if (!isPlainPath(file.path))
    throw new FetchError(`${what}: rejected, a file's name leads out of the folder: ${quote(file.path)}`);
  if (!/^([0-9a-f]{64}|[0-9a-f]{40})$/.test(file.hash))
    throw new FetchError(`${what}: ${quote(file.path)} has no hash to check it by in the listing`);
  return file;
}

async function readText(body: AsyncIterable<Uint8Array>, what: string): Promise<string> {
  const parts: Uint8Array[] = [];
  let sizeBytes = 0;
  for await (const part of body) {
    sizeBytes += part.length;
    if (sizeBytes > MAX_PAGE_BYTES)
      throw new FetchError(`${what}: a page of the listing is larger than ${MAX_PAGE_BYTES} bytes`);
    parts.push(part);
  }
  return Buffer.concat(parts).toString("utf8");
}
