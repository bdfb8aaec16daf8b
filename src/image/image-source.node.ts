// Finds the bytes of whatever a caller calls an image and decodes them.
// It opens any path and any address it is given: a server must not pass on what a stranger names.

import { open } from "node:fs/promises";
import { basename } from "node:path";
import { fileURLToPath } from "node:url";
import { FetchError, InputError, quote } from "../errors.ts";
import { askedPauseMs } from "../hub/rate-limit.ts";
import { explainConnection, plainError } from "../runtime/connection-error.ts";
import { publicUrl, splitCredentials } from "../safe-url.ts";
import { decodeImage, MAX_FILE_BYTES } from "./codec.node.ts";
import { type ImageInput, type Picture, pictureFromPixels } from "./picture.ts";

export interface LoadImageOptions {
  readonly signal?: AbortSignal;
  /** Replaces the platform's fetch for http(s) addresses. */
  readonly fetch?: typeof fetch;
  /** For a download. Default 30 s. */
  readonly timeoutMs?: number;
}

/** Loads a picture from a path, a URL (file, data, http, https), bytes, a Blob or pixels; transparency becomes white. */
export async function loadImage(input: ImageInput, options: LoadImageOptions = {}): Promise<Picture> {
  if (typeof input === "string") {
    return addressPattern.test(input) ? loadUrl(parseUrl(input), options) : loadFile(input);
  }
  if (input instanceof URL) return loadUrl(input, options);
  if (input instanceof Uint8Array) return decodeImage(input);
  if (input instanceof ArrayBuffer) return decodeImage(new Uint8Array(input));
  if (input instanceof Blob) return loadBlob(input);
  return pictureFromPixels(input.width, input.height, input.data);
}

/** A drive letter of Windows is none. */
const addressPattern = /^\s*((https?|file|data):|[a-z][a-z0-9+.-]+:\/\/)/i;

async function loadBlob(blob: Blob): Promise<Picture> {
  checkBytes(blob.size, "blob");
  return decodeImage(new Uint8Array(await blob.arrayBuffer()), "blob");
}

async function loadFile(path: string): Promise<Picture> {
  const name = basename(path);
  const file = await open(path, "r").catch((cause: NodeJS.ErrnoException) => {
    throw new InputError(`${path}: cannot be opened (${cause.code})`, { code: "invalid_image", cause });
  });
  try {
    const info = await file.stat();
    if (!info.isFile()) throw new InputError(`${path}: is not a file`, { code: "invalid_image" });
    checkBytes(info.size, name);
    return await decodeImage(await file.readFile(), name);
  } finally {
    await file.close();
  }
}

function loadUrl(url: URL, options: LoadImageOptions): Promise<Picture> {
  if (url.protocol === "file:") return loadFile(fileURLToPath(url));
  if (url.protocol === "data:") return loadData(url);
  if (url.protocol === "http:" || url.protocol === "https:") return download(url, options);
  throw new InputError(`Expected an image URL with http, https, file or data, got ${url.protocol}`, {
    code: "invalid_image",
  });
}

async function loadData(url: URL): Promise<Picture> {
  const response = await fetch(url).catch((cause) => {
    throw new InputError("data URL: is not well formed", { code: "invalid_image", cause: plainError(cause) });
  });
  return decodeImage(new Uint8Array(await response.arrayBuffer()), "data URL");
}

async function download(url: URL, { signal, timeoutMs = 30_000, ...options }: LoadImageOptions): Promise<Picture> {
  signal?.throwIfAborted();
  const name = publicUrl(url);
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

function parseUrl(text: string): URL {
  if (!URL.canParse(text))
    throw new InputError(`Expected an image URL, got ${quote(publicUrl(text))}`, { code: "invalid_image" });
  return new URL(text);
}

function checkBytes(size: number, name: string): void {
  if (size > MAX_FILE_BYTES) {
    throw new InputError(`${name}: has more than ${MAX_FILE_BYTES / 1e6} MB, the most that is read`, {
      code: "invalid_image",
    });
  }
}
