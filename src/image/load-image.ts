// Finds the bytes of whatever a caller calls an image and decodes them.
// It opens any path and any address it is given: a server must not pass on what a stranger names.

import { excerpt, FetchError, InputError } from "../errors.ts";
import { type ConnectionFault, plainError } from "../files/connection-error.ts";
import { askedPauseMs } from "../files/rate-limit.ts";
import { publicUrl, splitCredentials } from "../files/safe-url.ts";
import { imageError } from "./image-error.ts";
import { MAX_FILE_BYTES } from "./image-format.ts";
import { findImage, type ImageInput } from "./image-input.ts";
import { checkSize, type RgbImage, readPixels } from "./rgb.ts";

export interface LoadImageOptions {
  readonly signal?: AbortSignal;
  /** Replaces the platform's fetch for http(s) addresses. */
  readonly fetch?: typeof fetch;
  /** For a download. Default 30 s. */
  readonly timeoutMs?: number;
}

/** What a platform has for this. */
export interface ImageReaders {
  /** `name` is for messages. */
  decode(bytes: Uint8Array, name?: string): Promise<RgbImage>;
  /** Where a path or a file's URL leads: to bytes, or to an address. */
  readPath(
    path: string | URL,
    signal?: AbortSignal,
  ): Promise<{ readonly bytes: Uint8Array; readonly name: string } | URL>;
  /** Why fetch failed. */
  explain(error: unknown): ConnectionFault;
}

/** Loads an image from a path (also of a pipe), a URL (file, data, http, https), bytes, a Blob or pixels; transparency becomes white. */
export async function loadImageWith(
  readers: ImageReaders,
  input: ImageInput,
  options: LoadImageOptions = {},
): Promise<RgbImage> {
  const found = findImage(input);
  if ("path" in found) return loadPath(readers, found.path, options);
  if ("url" in found) return loadUrl(readers, found.url, options);
  if ("bytes" in found) return readers.decode(found.bytes);
  if ("blob" in found) return loadBlob(readers, found.blob);
  checkSize(found.pixels.width, found.pixels.height);
  return readPixels(found.pixels);
}

async function loadBlob({ decode }: ImageReaders, blob: Blob): Promise<RgbImage> {
  checkBytes(blob.size, "blob");
  return decode(new Uint8Array(await blob.arrayBuffer()), "blob");
}

async function loadPath(readers: ImageReaders, path: string | URL, options: LoadImageOptions): Promise<RgbImage> {
  const found = await readers.readPath(path, options.signal);
  return found instanceof URL ? download(readers, found, options) : readers.decode(found.bytes, found.name);
}

async function loadUrl(readers: ImageReaders, url: URL, options: LoadImageOptions): Promise<RgbImage> {
  if (url.protocol === "file:") return loadPath(readers, url, options);
  return url.protocol === "data:" ? loadData(readers, url) : download(readers, url, options);
}

async function loadData({ decode }: ImageReaders, url: URL): Promise<RgbImage> {
  const response = await fetch(url).catch((cause) => {
    throw imageError("data URL: is not well formed", plainError(cause));
  });
  return decode(new Uint8Array(await response.arrayBuffer()), "data URL");
}

async function download(
  { decode, explain }: ImageReaders,
  url: URL,
  { signal, timeoutMs = 30_000, ...options }: LoadImageOptions,
): Promise<RgbImage> {
  signal?.throwIfAborted();
  const name = excerpt(publicUrl(url));
  const deadline = AbortSignal.timeout(timeoutMs);
  const bytes = await receive(
    url,
    signal ? AbortSignal.any([signal, deadline]) : deadline,
    options.fetch ?? fetch,
    name,
  ).catch((cause) => {
    if (signal?.aborted) throw signal.reason;
    if (cause instanceof InputError || cause instanceof FetchError) throw cause;
    if (deadline.aborted) throw new FetchError(`${name}: did not arrive within ${timeoutMs} ms`, { canRetry: true });
    const { reason, ...rest } = explain(cause);
    throw new FetchError(`${name}: cannot be fetched: ${reason}`, rest);
  });
  return decode(bytes, name);
}

async function receive(url: URL, signal: AbortSignal, get: typeof fetch, name: string): Promise<Uint8Array> {
  const { url: address, headers } = splitCredentials(url);
  const response = await get(address, { signal, headers });
  if (!response.ok) {
    await response.body?.cancel();
    const { status } = response;
    const canRetry = status >= 500 || status === 429;
    throw new FetchError(`${name}: the server answered ${status}`, {
      canRetry,
      retryAfterMs: canRetry ? askedPauseMs(response.headers) : 0,
    });
  }
  const chunks: Uint8Array<ArrayBuffer>[] = [];
  let size = 0;
  // Counted while it arrives: a declared length may be absent or untrue. Not every browser iterates over a body.
  const reader = response.body?.getReader();
  for (let part = await reader?.read(); part && !part.done; part = await reader?.read()) {
    size += part.value.length;
    if (size > MAX_FILE_BYTES) await reader?.cancel();
    checkBytes(size, name);
    chunks.push(part.value);
  }
  return new Uint8Array(await new Blob(chunks).arrayBuffer());
}

function checkBytes(size: number, name: string): void {
  if (size > MAX_FILE_BYTES) {
    throw imageError(`${name}: has more than ${MAX_FILE_BYTES / 1e6} MB, the most that is read`);
  }
}
