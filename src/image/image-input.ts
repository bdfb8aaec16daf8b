// Tells apart what callers call an image. What is none gets a sentence that says what was passed and what to pass in its place.

import { type InputError, quote } from "../errors.ts";
import { publicUrl } from "../files/safe-url.ts";
import { bytesOf, kindOf } from "../runtime/realm.ts";
import { imageError } from "./image-error.ts";
import type { RawImage } from "./rgb.ts";

/** What a caller may hand in: a path or URL, an encoded file's bytes, or pixels as RGB or RGBA (such as ImageData). */
export type ImageInput = string | URL | ArrayBufferView | ArrayBufferLike | Blob | RawImage;

export type FoundImage =
  | { readonly path: string }
  | { readonly url: URL }
  | { readonly bytes: Uint8Array }
  | { readonly blob: Blob }
  | { readonly pixels: RawImage };

/** Throws an InputError if it is not an image. Nothing is read or decoded yet. */
export function findImage(input: unknown): FoundImage {
  if (typeof input === "string") return findByName(input);
  const kind = kindOf(input);
  if (kind === "URL") return { url: parseUrl(String(input)) };
  const bytes = bytesOf(input);
  if (bytes) return { bytes };
  if (ArrayBuffer.isView(input)) {
    throw refuse(`${quote(input)}; a file's bytes are a Uint8Array, and pixels go in as { width, height, data }`);
  }
  if (kind === "Blob" || kind === "File") return { blob: input as Blob };
  if (isPixels(input)) return { pixels: input };
  const advice = ways.find(([isSuch]) => isSuch((input ?? {}) as Fields, kind))?.[1];
  throw refuse(`${quote(input)}${advice ? `; ${advice}` : ""}`);
}

function refuse(got: string): InputError {
  return imageError(
    `Expected an image as a path, a URL, a file's bytes (Uint8Array, ArrayBuffer, Blob) or pixels { width, height, data }, got ${got}`,
  );
}

function findByName(name: string): FoundImage {
  if (name === "") throw refuse("an empty text");
  if (/^\s*((https?|file|data):|[a-z][a-z\d+.-]+:\/\/)/i.test(name)) return { url: parseUrl(name) };
  if (name.length >= 64 && /^(iVBORw0KGgo|\/9j\/|UklGR)[\w+/=\s]*$/.test(name.slice(0, 1000))) {
    throw refuse(`base64 text of ${name.length} characters; decode it with Buffer.from(text, "base64")`);
  }
  if (name.includes("\0")) throw refuse(`${quote(name)}, and no path has a null character`);
  return { path: name };
}

function parseUrl(text: string): URL {
  const url = URL.canParse(text) ? new URL(text) : undefined;
  if (url && ["http:", "https:", "file:", "data:"].includes(url.protocol)) return url;
  const wanted = "Expected an image URL with http, https, file or data";
  throw imageError(`${wanted}, got ${url ? url.protocol : quote(publicUrl(text))}`);
}

type Fields = Readonly<Record<string, unknown>>;

function isPixels(input: unknown): input is RawImage {
  return typeof input === "object" && input !== null && "width" in input && "height" in input && "data" in input;
}

const has = (name: string, type: string) => (fields: Fields) => typeof fields[name] === type;

/** What is often passed in place of an image, and what to pass instead. The first that fits is said. */
const ways: readonly (readonly [isSuch: (fields: Fields, kind: string) => boolean, advice: string])[] = [
  [has("then", "function"), "await it first"],
  [has("toBuffer", "function"), "pass what its `toBuffer()` gives as PNG: `await image.png().toBuffer()` with sharp"],
  [has("getContext", "function"), "pass its pixels: `context.getImageData(0, 0, width, height)`"],
  [has("arrayBuffer", "function"), "pass `await response.arrayBuffer()`"],
  [
    (fields) => [fields.pipe, fields.getReader, fields[Symbol.asyncIterator as never]].some((f) => f !== undefined),
    "read the stream first: `await buffer(stream)` with `buffer` of node:stream/consumers",
  ],
  [
    (_, kind) => kind === "Array",
    "a file's bytes go in as Uint8Array.from(list), and pixels as { width, height, data }",
  ],
  [
    ({ type, data }) => type === "Buffer" && Array.isArray(data),
    "a Buffer that went through JSON comes back with Buffer.from(value.data)",
  ],
  [
    ({ data, info }) => data !== undefined && info !== undefined,
    "pass { width: info.width, height: info.height, data } of what sharp gives",
  ],
  [({ codes }) => codes !== undefined, "codes go into `reconstruct` and `chat`, as { grid, codes }"],
  [({ type, image }) => type !== undefined && image !== undefined, "pass the `image` of this part of a message"],
  [({ url }) => url !== undefined, "pass its `url`"],
];
