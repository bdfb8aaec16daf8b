// Downloads one blob. @huggingface/hub can too, but restarts after an interruption, never verifies the hash,
// and takes no signal, so we use only its listing. Here the bytes go into this download's own file, which a later
// one takes over and resumes with a Range request. It gets its final name when the bytes on disk have the right hash.

import { randomUUID } from "node:crypto";
import { readdir, rename, rm } from "node:fs/promises";
import { basename, dirname, join } from "node:path";
import { FetchError } from "../errors.ts";
import { OpenFile } from "../files/open-file.ts";
import { type RetryOptions, withRetries } from "../files/retry.ts";
import { hashFile } from "./blob-hash.ts";
import { sizeOf } from "./cache.ts";
import type { RepoFile } from "./listing.ts";
import { type Answer, hostOf, request } from "./request.ts";
import type { HubSettings } from "./settings.ts";
import type { VerifiedFile } from "./verified.ts";

export interface DownloadOptions {
  readonly signal?: AbortSignal | undefined;
  /** Called with the bytes on disk whenever they change; the number falls when a damaged part is discarded. */
  readonly onSize?: (sizeBytes: number) => void;
  readonly onPause?: RetryOptions["onPause"];
}

/** Partial files of earlier downloads of a blob, longest first: BLOB.UUID.incomplete, or the Python library's BLOB.incomplete. */
export async function findParts(blobPath: string): Promise<{ path: string; sizeBytes: number }[]> {
  const folder = dirname(blobPath);
  const names = await readdir(folder).catch(() => []);
  const parts = names
    .filter((name) => name.startsWith(`${basename(blobPath)}.`) && name.endsWith(".incomplete"))
    .map(async (name) => ({ path: join(folder, name), sizeBytes: (await sizeOf(join(folder, name))) ?? 0 }));
  return (await Promise.all(parts)).sort((a, b) => b.sizeBytes - a.sizeBytes);
}

/** A name that no other download has. */
export function newPartPath(blobPath: string): string {
  return `${blobPath}.${randomUUID()}.incomplete`;
}

/**
 * Downloads `file` from `url` to `blobPath`, resuming an earlier try. Throws a FetchError if the server keeps failing
 * or sends wrong bytes twice; received data stays for the next try.
 */
export async function downloadBlob(
  settings: HubSettings,
  url: string,
  file: RepoFile,
  blobPath: string,
  options: DownloadOptions = {},
): Promise<VerifiedFile> {
  const { signal, onPause } = options;
  const part = await openPart(blobPath, file, options);
  let mtimeMs = 0;
  try {
    for (let tries = 1; ; tries++) {
      await withRetries(() => fetchRest(settings, url, file, part, signal), {
        backoffMs: settings.backoffMs,
        signal,
        progress: () => part.sizeBytes,
        onPause,
      });
      // The bytes on disk count, not those received.
      await part.file.sync();
      const { size } = await part.file.stat();
      const digest = await hashFile(part.file, file.hash, signal);
      if (size === file.sizeBytes && digest === file.hash) break;
      await part.clear();
      if (tries < 2) continue;
      throw new FetchError(
        `${file.path}: its hash is ${digest}, expected ${file.hash}, twice. Something in between changes it, or the file at ${hostOf(url)} is damaged`,
      );
    }
    mtimeMs = (await part.file.stat()).mtimeMs;
  } finally {
    await part.file.close();
  }
  await rename(part.path, blobPath);
  return { hash: file.hash, sizeBytes: file.sizeBytes, mtimeMs };
}

/** The received bytes. */
interface Part {
  readonly path: string;
  readonly file: OpenFile;
  readonly sizeBytes: number;
  /** Whether to request only the rest: not from a server that mishandles ranges. */
  mayResume: boolean;
  refusals: number;
  append(bytes: Uint8Array): Promise<void>;
  clear(): Promise<void>;
}

async function openPart(blobPath: string, { sizeBytes: total }: RepoFile, options: DownloadOptions): Promise<Part> {
  const path = newPartPath(blobPath);
  let isTaken = false;
  for (const earlier of await findParts(blobPath)) {
    if (!isTaken && earlier.sizeBytes <= total) {
      // Only one process can rename it.
      isTaken = await rename(earlier.path, path).then(
        () => true,
        () => false,
      );
    } else await rm(earlier.path, { force: true });
  }
  const file = await OpenFile.open(path, isTaken ? "r+" : "wx+");
  let sizeBytes = isTaken ? (await file.stat()).size : 0;
  options.onSize?.(sizeBytes);
  return {
    path,
    file,
    mayResume: true,
    refusals: 0,
    get sizeBytes() {
      return sizeBytes;
    },
    async append(bytes) {
      // Written by position: if two ever write the same content into one file, it stays intact.
      for (let start = 0; start < bytes.length; ) {
        const { bytesWritten } = await file.write(bytes, start, bytes.length - start, sizeBytes);
        start += bytesWritten;
        sizeBytes += bytesWritten;
      }
      options.onSize?.(sizeBytes);
    },
    async clear() {
      await file.truncate(0);
      sizeBytes = 0;
      options.onSize?.(0);
    },
  };
}

/** Statuses of servers and proxies that reject Range requests. */
const REFUSED_RANGE = [400, 403, 416, 501];

async function fetchRest(
  settings: HubSettings,
  url: string,
  file: RepoFile,
  part: Part,
  signal?: AbortSignal,
): Promise<void> {
  if (part.sizeBytes === file.sizeBytes) return;
  const resumes = part.mayResume && part.sizeBytes > 0;
  const headers: Record<string, string> = resumes ? { Range: `bytes=${part.sizeBytes}-` } : {};
  const options = { what: file.path, headers, signal, handled: resumes ? REFUSED_RANGE : [] };
  await request(settings, url, options, async (answer) => {
    const start = resumes ? checkRange(answer, file, part, url) : checkWhole(answer, file, url);
    // A server that ignores the range sends everything: the part already received is skipped.
    let known = part.sizeBytes - start;
    for await (const bytes of answer.body) {
      const fresh = bytes.subarray(Math.min(known, bytes.length));
      known -= bytes.length - fresh.length;
      if (part.sizeBytes + fresh.length > file.sizeBytes) throw wrongSize(file, "more", url);
      if (fresh.length > 0) await part.append(fresh);
    }
    if (part.sizeBytes < file.sizeBytes) {
      const place = `${part.sizeBytes} of ${file.sizeBytes} bytes`;
      throw new FetchError(`${file.path}: the connection to ${hostOf(url)} ended after ${place}`, { canRetry: true });
    }
  });
}

/** The file offset of the response's first byte. Throws if the response is for a file of another size, or does not answer the range. */
function checkRange(answer: Answer, file: RepoFile, part: Part, url: string): number {
  const { status, headers, isCompressed } = answer;
  if (REFUSED_RANGE.includes(status) || (status === 206 && isCompressed)) {
    // 403 may mean an expired signature; the next try gets a new one. A compressed range may be a range of the compressed file.
    part.refusals++;
    if (status === 416 || status === 206 || part.refusals > 1) part.mayResume = false;
    const message = `${file.path}: ${hostOf(url)} does not resume at byte ${part.sizeBytes} (status ${status})`;
    throw new FetchError(message, { canRetry: true });
  }
  if (status !== 206) return checkWhole(answer, file, url);
  const [, start, total] = /^bytes (\d+)-\d+\/(\d+|\*)$/.exec(headers.get("Content-Range") ?? "") ?? [];
  if (Number(start) !== part.sizeBytes)
    throw new FetchError(`${file.path}: ${hostOf(url)} sends another range than requested`);
  if (total !== "*" && Number(total) !== file.sizeBytes) throw wrongSize(file, total ?? "", url);
  return part.sizeBytes;
}

function checkWhole({ headers, isCompressed }: Answer, file: RepoFile, url: string): number {
  const length = isCompressed ? null : headers.get("Content-Length");
  if (length !== null && Number(length) !== file.sizeBytes) throw wrongSize(file, length, url);
  return 0;
}

function wrongSize({ path, sizeBytes }: RepoFile, found: string, url: string): FetchError {
  return new FetchError(
    `${path}: ${hostOf(url)} sends ${found} bytes, the listing says ${sizeBytes}. Is a proxy or a login page answering instead?`,
  );
}
