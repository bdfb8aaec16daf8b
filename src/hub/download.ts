// Fetches one blob. @huggingface/hub can do it too, but begins anew after a cut, leaves a file that it never compares with its hash,
// and takes no signal; so only its listing is used, and this is ours: the bytes are appended to HASH.incomplete, which a later
// try goes on with by a Range request, and the file gets its final name when its hash is right.

import { createHash, type Hash } from "node:crypto";
import { createReadStream } from "node:fs";
import { type FileHandle, open, rename } from "node:fs/promises";
import { FetchError } from "../errors.ts";
import { writeAll } from "../runtime/atomic-file.ts";

import type { RepoFile } from "./listing.ts";
import { type Answer, request } from "./request.ts";
import { withRetries } from "./retry.ts";
import type { HubSettings } from "./settings.ts";

export interface DownloadOptions {
  readonly signal?: AbortSignal | undefined;
  /** Called with the bytes that are there, on the disk, whenever that changes; it sinks when a damaged part is thrown away. */
  readonly onSize?: (sizeBytes: number) => void;
}

/** Name of a blob's bytes before all of them are there; the Python library's too. */
export function incompletePath(blobPath: string): string {
  return `${blobPath}.incomplete`;
}

/**
 * Fetches `file` from `url` to `blobPath`, going on from what an earlier try left. Throws a FetchError when the server keeps failing
 * or sends other bytes twice; what has come stays for the next try.
 */
export async function downloadBlob(
  settings: HubSettings,
  url: string,
  file: RepoFile,
  blobPath: string,
  { signal, onSize }: DownloadOptions = {},
): Promise<void> {
  const part = await openPart(incompletePath(blobPath), file, { signal, onSize });
  let isRight = false;
  try {
    for (let tries = 0; !isRight; tries++) {
      await withRetries(() => fetchRest(settings, url, file, part, signal), {
        backoffMs: settings.backoffMs,
        signal,
        progress: () => part.sizeBytes,
      });
      const digest = part.digest();
      isRight = digest === file.hash;
      if (isRight) continue;
      await part.clear();
      if (tries > 0) {
        throw new FetchError(
          `${file.path}: its hash is ${digest}, wanted ${file.hash}, twice. Something on the way changes it, or the file at ${new URL(url).host} is damaged`,
        );
      }
    }
    await part.file.sync();
  } finally {
    await part.file.close();
  }
  await rename(incompletePath(blobPath), blobPath);
}

/** The bytes that have come, with their hash so far. */
interface Part {
  readonly file: FileHandle;
  readonly sizeBytes: number;
  append(bytes: Uint8Array): Promise<void>;
  clear(): Promise<void>;
  digest(): string;
}

async function openPart(
  path: string,
  { hash: wanted, sizeBytes: total }: RepoFile,
  { signal, onSize }: DownloadOptions,
): Promise<Part> {
  let hash = startHash(wanted, total);
  let sizeBytes = 0;
  const file = await open(path, "a");
  const part: Part = {
    file,
    get sizeBytes() {
      return sizeBytes;
    },
    async append(bytes) {
      await writeAll(file, bytes);
      hash.update(bytes);
      sizeBytes += bytes.length;
      onSize?.(sizeBytes);
    },
    async clear() {
      await file.truncate(0);
      hash = startHash(wanted, total);
      sizeBytes = 0;
      onSize?.(0);
    },
    digest: () => hash.copy().digest("hex"),
  };
  try {
    if ((await file.stat()).size > total) await part.clear();
    else {
      for await (const bytes of createReadStream(path, { highWaterMark: READ_BYTES, signal })) {
        hash.update(bytes);
        sizeBytes += bytes.length;
      }
      onSize?.(sizeBytes);
    }
    return part;
  } catch (error) {
    await file.close();
    throw error;
  }
}

const READ_BYTES = 1 << 20;

/** SHA-256 for the names of large files; for those of small ones git's SHA-1, which begins with a line about the size. */
function startHash(name: string, sizeBytes: number): Hash {
  return name.length === 64 ? createHash("sha256") : createHash("sha1").update(`blob ${sizeBytes}\0`);
}

async function fetchRest(
  settings: HubSettings,
  url: string,
  file: RepoFile,
  part: Part,
  signal?: AbortSignal,
): Promise<void> {
  if (part.sizeBytes === file.sizeBytes) return;
  const headers: Record<string, string> = part.sizeBytes > 0 ? { Range: `bytes=${part.sizeBytes}-` } : {};
  await request(settings, url, { what: file.path, headers, signal }, async (answer) => {
    // A server that ignores the range sends everything: what is there already is passed over.
    let known = part.sizeBytes - checkRange(answer, file, part.sizeBytes, url);
    for await (const bytes of answer.body) {
      const fresh = bytes.subarray(Math.min(known, bytes.length));
      known -= bytes.length - fresh.length;
      if (part.sizeBytes + fresh.length > file.sizeBytes) throw wrongSize(file, "more", url);
      if (fresh.length > 0) await part.append(fresh);
    }
    if (part.sizeBytes < file.sizeBytes) {
      const place = `${part.sizeBytes} of ${file.sizeBytes} bytes`;
      throw new FetchError(`${file.path}: the connection to ${new URL(url).host} ended after ${place}`, {
        canRetry: true,
      });
    }
  });
}

/** Where in the file the answer's first byte stands: at 0 or at `from`. Throws if the answer is of a file of another size. */
function checkRange({ status, headers }: Answer, { path, sizeBytes }: RepoFile, from: number, url: string): number {
  if (status === 206) {
    const [, start, total] = /^bytes (\d+)-\d+\/(\d+|\*)$/.exec(headers.get("Content-Range") ?? "") ?? [];
    if (Number(start) !== from)
      throw new FetchError(`${path}: ${new URL(url).host} sends another range than was asked for`);
    if (total !== "*" && Number(total) !== sizeBytes) throw wrongSize({ path, sizeBytes }, total ?? "", url);
    return from;
  }
  const length = headers.get("Content-Length");
  if (length !== null && Number(length) !== sizeBytes) throw wrongSize({ path, sizeBytes }, length, url);
  return 0;
}

function wrongSize({ path, sizeBytes }: Pick<RepoFile, "path" | "sizeBytes">, found: string, url: string): FetchError {
  return new FetchError(
    `${path}: ${new URL(url).host} sends ${found} bytes, the listing says ${sizeBytes}. Does a proxy or a login page answer in its place?`,
  );
}
