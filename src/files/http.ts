// A model's files over HTTP: fetched whole, checked against the hashes of the listing, and kept in the browser's cache under
// them, so that each file comes once, whichever address it comes from. A transfer that is cut goes on where it was.

import { parseJson } from "../checkpoint/strict-json.ts";
import { excerpt, FetchError, ModelError } from "../errors.ts";
import { parseHubAnswer } from "./hub-answer.ts";
import { formatHubName, type HubName } from "./hub-name.ts";
import { LISTING_FILE, type ListedFile, type Listing, MAX_LISTING_BYTES, parseListing } from "./listing.ts";
import { memoryFiles } from "./memory.ts";
import type { ModelFiles } from "./model-files.ts";
import { askedPauseMs } from "./rate-limit.ts";
import { withRetries } from "./retry.ts";
import { publicUrl, splitCredentials } from "./safe-url.ts";
import { sha256 } from "./sha256.ts";
import type { TransferOptions } from "./transfer.ts";
import { fileFilter } from "./wanted-files.ts";

export interface HttpOptions extends TransferOptions {
  /** Where files are kept, by a name; the browser's Cache Storage, where the page has one, if absent. */
  readonly cache?: BlobCache | undefined;
  /** Before the second try of a file. */
  readonly backoffMs?: number;
}

export interface BlobCache {
  get(sha256: string): Promise<Blob | undefined>;
  /** May fail, as when the storage is full. */
  put(sha256: string, blob: Blob): Promise<void>;
}

const HUB = "https://huggingface.co";
/** Files that are fetched at once. */
const PARALLEL = 4;
const BACKOFF_MS = 500;

/** The files of a folder that has a files.json. Throws a FetchError for what does not come, a ModelError for what is not as listed. */
export async function openUrl(address: URL, options: HttpOptions = {}): Promise<ModelFiles> {
  const base = new URL(address);
  if (!base.pathname.endsWith("/")) base.pathname += "/";
  const url = new URL(LISTING_FILE, base);
  const response = await get(url, options).catch((error) => {
    if (!(error instanceof FetchError) || error.code !== "model_not_found") throw error;
    throw new FetchError(
      `${publicUrl(base)}: has no ${LISTING_FILE}, without which nothing is known of its files. ` +
        `\`kelix info FOLDER --files > FOLDER/${LISTING_FILE}\` writes one`,
      { cause: error, code: "model_not_found" },
    );
  });
  const listing = parseListing(await readJson(response, url), publicUrl(url));
  return fetchModel(publicUrl(base).replace(/\/$/, ""), base, listing, options);
}

/** The files of a repository of the Hub, at the commit that the revision stands for now. */
export async function openHub(
  name: HubName,
  options: HttpOptions & { readonly hub?: string } = {},
): Promise<ModelFiles> {
  const { hub = HUB } = options;
  const revision = encodeURIComponent(name.revision);
  const url = new URL(`${hub}/api/models/${name.repo}/revision/${revision}?blobs=true`);
  const text = formatHubName(name);
  const info = parseHubAnswer(await readJson(await get(url, options), url), `${text}: what the Hub answers`);
  const files = info.siblings.map(({ rfilename, size, lfs }) => ({
    path: rfilename,
    bytes: size,
    ...(lfs && { sha256: lfs.sha256 }),
  }));
  const wanted = files.filter(({ path }) => fileFilter(options.include)(path));
  const listing = parseListing({ files: wanted }, `${text}: what the Hub lists`);
  return fetchModel(text, new URL(`${hub}/${name.repo}/resolve/${encodeURIComponent(info.sha)}/`), listing, options);
}

async function fetchModel(name: string, base: URL, { files }: Listing, options: HttpOptions): Promise<ModelFiles> {
  const wanted = files.filter(({ path }) => fileFilter(options.include)(path));
  const cache = "cache" in options ? options.cache : await browserCache();
  const totalBytes = wanted.reduce((sum, { bytes }) => sum + bytes, 0);
  const done = new Map<string, number>();
  const report = (path: string, bytes: number) => {
    done.set(path, bytes);
    options.onProgress?.({ doneBytes: [...done.values()].reduce((sum, own) => sum + own, 0), totalBytes });
  };
  const blobs = new Map<string, Blob>();
  const queue = [...wanted];
  const work = async () => {
    for (let file = queue.shift(); file; file = queue.shift()) {
      const { path, bytes, sha256: hash } = file;
      let blob = hash ? await cache?.get(hash) : undefined;
      if (blob?.size !== bytes) {
        blob = await download(new URL(path.split("/").map(encodeURIComponent).join("/"), base), file, options, report);
        await check(blob, file, name);
        if (hash) await cache?.put(hash, blob).catch(() => undefined); // full, or not allowed: it is fetched again next time
      }
      blobs.set(path, blob);
      report(path, bytes);
    }
  };
  await Promise.all(Array.from({ length: PARALLEL }, work));
  return memoryFiles(name, blobs);
}

/** Fetches a file, going on after a cut where the server knows ranges. */
async function download(
  url: URL,
  { path, bytes }: ListedFile,
  options: HttpOptions,
  report: (path: string, bytes: number) => void,
): Promise<Blob> {
  const { signal, onWait, backoffMs = BACKOFF_MS } = options;
  const chunks: Uint8Array<ArrayBuffer>[] = [];
  let done = 0;
  const attempt = async () => {
    const response = await get(url, options, done);
    if (response.status !== 206) done = chunks.length = 0;
    const reader = response.body?.getReader();
    const next = () =>
      reader?.read().catch((error) => {
        throw explain(error, url, signal);
      });
    for (let part = await next(); part && !part.done; part = await next()) {
      chunks.push(part.value);
      done += part.value.length;
      report(path, Math.min(done, bytes));
      if (done <= bytes) continue;
      await reader?.cancel();
      throw new ModelError(`${publicUrl(url)}: has more than the ${bytes} bytes that are listed`);
    }
    if (done < bytes)
      throw new FetchError(`${publicUrl(url)}: ends after ${done} of ${bytes} bytes`, { canRetry: true });
  };
  const onPause = (waitMs: number, { message }: FetchError) => onWait?.({ message, waitMs });
  await withRetries(attempt, { backoffMs, signal, progress: () => done, onPause });
  return new Blob(chunks);
}

/** Throws a ModelError when a file is not the one that is listed. Where the page has no crypto, its size alone is known. */
async function check(blob: Blob, { path, sha256: wanted }: ListedFile, name: string): Promise<void> {
  const found = wanted && (await sha256(await blob.arrayBuffer()));
  if (!found || found === wanted) return;
  throw new ModelError(
    `${name}/${path}: is not the file that is listed: its SHA-256 is ${found}, wanted ${wanted}. Was ${LISTING_FILE} written before it?`,
  );
}

async function get(input: URL, { signal }: HttpOptions, from = 0): Promise<Response> {
  const { url, headers } = splitCredentials(input);
  try {
    const range = from > 0 && { Range: `bytes=${from}-` };
    const response = await fetch(url, { headers: { ...headers, ...range }, signal: signal ?? null });
    if (response.ok) return response;
    await response.body?.cancel();
    const { status } = response;
    throw new FetchError(`${excerpt(publicUrl(input))}: the server answered with status ${status}`, {
      canRetry: status >= 500 || status === 429,
      retryAfterMs: askedPauseMs(response.headers),
      ...(status === 404 && { code: "model_not_found" as const }),
    });
  } catch (error) {
    throw explain(error, input, signal);
  }
}

function explain(error: unknown, url: URL, signal: AbortSignal | undefined): unknown {
  if (signal?.aborted) return signal.reason;
  if (error instanceof FetchError || error instanceof ModelError) return error;
  return new FetchError(
    `${excerpt(publicUrl(url))}: no answer, or one that this page may not read (another origin needs CORS headers)`,
    { canRetry: true, cause: error },
  );
}

async function readJson(response: Response, url: URL): Promise<unknown> {
  const bytes = new Uint8Array(await response.arrayBuffer());
  if (bytes.length > MAX_LISTING_BYTES)
    throw new ModelError(`${publicUrl(url)} has ${bytes.length} bytes; at most ${MAX_LISTING_BYTES} are read`);
  return parseJson(bytes, publicUrl(url), {});
}

/** Cache Storage, which only secure pages have. */
async function browserCache(): Promise<BlobCache | undefined> {
  const storage = await globalThis.caches?.open("kelix-model-files").catch(() => undefined);
  if (!storage) return undefined;
  const key = (sha256: string) => `/kelix-model-files/${sha256}`;
  return {
    get: async (sha256) => (await storage.match(key(sha256)))?.blob(),
    put: (sha256, blob) => storage.put(key(sha256), new Response(blob)),
  };
}
