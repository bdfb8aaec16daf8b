// Images from clients: a data: URL, a file in a form or, if the operator allows it, an http URL. The format is detected from the bytes,
// never from a file name or content type.

import { formatOf } from "../../image/image-format.ts";
import { badField, toApiError } from "./api-error.ts";
import { fetchImage } from "./remote-image.ts";
import type { HttpSettings } from "./settings.ts";

/** The file of an image given by URL. Throws a 400 that names `param`. */
export async function readImageUrl(
  url: string,
  param: string,
  { settings, signal }: { readonly settings: HttpSettings; readonly signal: AbortSignal },
): Promise<Uint8Array> {
  const { limits, remoteImages } = settings;
  const maxBytes = limits.imageBytes;
  const isData = /^data:/i.test(url);
  if (!isData && !remoteImages) {
    throw badField(
      param,
      "Expected an image as a data: URL; this server fetches no other (its operator may allow it with --allow-remote-images)",
      "image_url_not_allowed",
    );
  }
  const bytes = isData
    ? readDataUrl(url, maxBytes, param)
    : await fetchImage(url, remoteImages!, { maxBytes, param, signal });
  return checkImage(bytes, param);
}

/** The file of an image given in a form. Throws a 400 that names `param`. */
export async function readImageFile(file: Blob, param: string, { limits }: HttpSettings): Promise<Uint8Array> {
  if (file.size > limits.imageBytes) throw tooLarge(limits.imageBytes, param);
  return checkImage(new Uint8Array(await file.arrayBuffer()), param);
}

function readDataUrl(url: string, maxBytes: number, param: string): Uint8Array {
  const comma = url.slice(0, 200).indexOf(",");
  if (!/;\s*base64\s*$/i.test(url.slice(0, Math.max(comma, 0)))) {
    throw badField(param, "Expected an image as data:image/png;base64,…", "invalid_image");
  }
  if ((url.length - comma) * 0.75 > maxBytes + 3) throw tooLarge(maxBytes, param);
  const bytes = Buffer.from(url.slice(comma + 1), "base64");
  if (bytes.byteLength > maxBytes) throw tooLarge(maxBytes, param);
  // Small Buffers share one pool, all of which would be posted to a worker; a copy has its own memory.
  return new Uint8Array(bytes);
}

function checkImage(bytes: Uint8Array, param: string): Uint8Array {
  try {
    formatOf(bytes, "image");
  } catch (error) {
    throw toApiError(error, param);
  }
  return bytes;
}

function tooLarge(maxBytes: number, param: string) {
  return badField(param, `The image has more than ${maxBytes} bytes`, "image_too_large");
}
