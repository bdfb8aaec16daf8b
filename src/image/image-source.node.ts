// Finds the bytes of whatever a caller calls an image and decodes them.
// It opens any path and any address it is given: a server must not pass on what a stranger names.

import { basename } from "node:path";
import { fileURLToPath } from "node:url";
import { excerpt, FetchError, InputError } from "../errors.ts";
import { explainConnection, plainError } from "../files/connection-error.ts";
import { readInput } from "../files/input.ts";
import { publicUrl, splitCredentials } from "../files/safe-url.ts";
import { askedPauseMs } from "../hub/rate-limit.ts";
import { decodeImage, MAX_FILE_BYTES } from "./codec.node.ts";
import { findImage, type ImageInput } from "./image-input.ts";
import { checkSize, type RgbImage, readPixels } from "./rgb.ts";

export interface LoadImageOptions {
  readonly signal?: AbortSignal;
  /** Replaces the platform's fetch for http(s) addresses. */
  readonly fetch?: typeof fetch;
  /** For a download. Default 30 s. */
  readonly timeoutMs?: number;
}

/** Loads an image from a path (also of a pipe), a URL (file, data, http, https), bytes, a Blob or pixels; transparency becomes white. */
export async function loadImage(input: ImageInput, options: LoadImageOptions = {}): Promise<RgbImage> {
  const found = findImage(input);
  if ("path" in found) return loadFile(found.path, options);
  if ("url" in found) return loadUrl(found.url, options);
  if ("bytes" in found) return decodeImage(found.bytes);
  if ("blob" in found) return loadBlob(found.blob);
  checkSize(found.pixels.width, found.pixels.height);
  return readPixels(found.pixels);
}

async function loadBlob(blob: Blob): Promise<RgbImage> {
  checkBytes(blob.size, "blob");
  return decodeImage(new Uint8Array(await blob.arrayBuffer()), "blob");
}

async function loadFile(path: string, { signal }: LoadImageOptions): Promise<RgbImage> {
  const bytes = await readInput(path, { maxBytes: MAX_FILE_BYTES, code: "invalid_image", ...(signal && { signal }) });
  return decodeImage(bytes, excerpt(path === "/dev/stdin" ? "standard input" : basename(path)));
}

async function loadUrl(url: URL, options: LoadImageOptions): Promise<RgbImage> {
  if (url.protocol === "file:") return loadFile(filePath(url), options);
  return url.protocol === "data:" ? loadData(url) : download(url, options);
}

function filePath(url: URL): string {
  try {
    return fileURLToPath(url);
  } catch (cause) {
    // A host, or a slash that is spelled %2F.
    throw new InputError(`${excerpt(url.href)}: names no file of this machine; write file:///FOLDER/NAME`, {
      code: "invalid_image",
      cause,
    });
  }
}

async function loadData(url: URL): Promise<RgbImage> {
  const response = await fetch(url).catch((cause) => {
    throw new InputError("data URL: is not well formed", { code: "invalid_image", cause: plainError(cause) });
  });
  return decodeImage(new Uint8Array(await response.arrayBuffer()), "data URL");
}

async function download(url: URL, { signal, timeoutMs = 30_000, ...options }: LoadImageOptions): Promise<RgbImage> {
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
    const { reason, ...rest } = explainConnection(cause);
    throw new FetchError(`${name}: cannot be fetched: ${reason}`, rest);
  });
  return decodeImage(bytes, name);
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
  const chunks: Uint8Array[] = [];
  let size = 0;
  // Counted while it arrives: a declared length may be absent or untrue.
  for await (const chunk of response.body ?? []) {
    size += chunk.length;
    checkBytes(size, name);
    chunks.push(chunk);
  }
  return Buffer.concat(chunks);
}

function checkBytes(size: number, name: string): void {
  if (size > MAX_FILE_BYTES) {
    throw new InputError(`${name}: has more than ${MAX_FILE_BYTES / 1e6} MB, the most that is read`, {
      code: "invalid_image",
    });
  }
}
