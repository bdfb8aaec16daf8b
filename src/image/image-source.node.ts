// Images from paths, pipes and file URLs, beside all that load-image.ts finds.

import { basename } from "node:path";
import { fileURLToPath } from "node:url";
import { excerpt } from "../errors.ts";
import { explainConnection } from "../files/connection-error.ts";
import { readInput } from "../files/input.ts";
import { proxyHint } from "../files/proxy-hint.ts";
import { decodeImage } from "./codec.node.ts";
import { imageError } from "./image-error.ts";
import { MAX_FILE_BYTES } from "./image-format.ts";
import type { ImageInput } from "./image-input.ts";
import { type LoadImageOptions, loadImageWith } from "./load-image.ts";
import type { RgbImage } from "./rgb.ts";

/** See loadImageWith. */
export function loadImage(input: ImageInput, options: LoadImageOptions = {}): Promise<RgbImage> {
  return loadImageWith(
    { decode: decodeImage, readPath, explain: (error) => explainConnection(error, proxyHint) },
    input,
    options,
  );
}

async function readPath(place: string | URL, signal: AbortSignal | undefined) {
  const path = typeof place === "string" ? place : filePath(place);
  const bytes = await readInput(path, { maxBytes: MAX_FILE_BYTES, code: "invalid_image", ...(signal && { signal }) });
  return { bytes, name: excerpt(path === "/dev/stdin" ? "standard input" : basename(path)) };
}

function filePath(url: URL): string {
  try {
    return fileURLToPath(url);
  } catch (cause) {
    // A host, or a slash that is spelled %2F.
    throw imageError(`${excerpt(url.href)}: does not name a file on this machine; write file:///FOLDER/NAME`, cause);
  }
}
