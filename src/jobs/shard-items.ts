// The images of a shard, in order, with their names in the file. Files are read in place: nothing is unpacked, and names in them are only
// labels.

import { createHash } from "node:crypto";
import { createReadStream } from "node:fs";
import { stat } from "node:fs/promises";
import { basename, join } from "node:path";
import { pipeline } from "node:stream/promises";
import { readCodes } from "../corpus/code-files.ts";
import { type Example, imagesOf } from "../corpus/example.ts";
import { imageNames, openImageFolder } from "../corpus/image-folder.ts";
import { openParquet } from "../corpus/parquet.ts";
import { openWebDataset } from "../corpus/web-dataset.ts";
import { InputError, quote } from "../errors.ts";
import type { RgbImage } from "../image/rgb.ts";
import type { CodeFields } from "../vision/image-codes.ts";

/** An image of a shard, or the codes of one. */
export type ShardImage = RgbImage | CodeFields;

export interface ShardItems {
  readonly count: number;
  key(index: number): Promise<string>;
  /** Throws an InputError for an item that cannot be used. */
  read(index: number): Promise<ShardImage>;
  close(): Promise<void>;
}

/** Opens a tar, a Parquet file, a file of codes, or a folder of images. Throws an InputError for anything else. */
export async function openItems(path: string, signal?: AbortSignal): Promise<ShardItems> {
  if ((await stat(path)).isDirectory()) return imagesIn(await openImageFolder(path));
  if (/\.tar$/i.test(path)) return imagesIn(await openWebDataset([path], signal));
  if (/\.parquet$/i.test(path)) return imagesIn(await openParquet([path]));
  if (/\.safetensors$/i.test(path)) return codesIn(path, signal);
  throw new InputError(
    `${quote(basename(path))}: expected a folder, or a file that ends in .tar, .parquet or .safetensors`,
  );
}

function imagesIn({ count, key, read, close }: Awaited<ReturnType<typeof openImageFolder>>): ShardItems {
  return {
    count,
    key,
    read: async (index) => onlyImage(await read(index)),
    close,
  };
}

/** Throws an InputError for an example without an image, or with several, since there is one result per example. */
async function onlyImage(example: Example): Promise<RgbImage> {
  const images = imagesOf(example);
  if (images.length === 1) return images[0]!.read();
  throw new InputError(
    `${example.where}: has ${images.length === 0 ? "no image" : `${images.length} images, expected one`}`,
  );
}

async function codesIn(path: string, signal?: AbortSignal): Promise<ShardItems> {
  const codes = await readCodes(path, signal);
  return {
    count: codes.length,
    key: async (index) => codes[index]!.image ?? `${index + 1}`,
    read: async (index) => codes[index]!,
    close: async () => {},
  };
}

/** The SHA-256 of a file, or of the names and contents of a folder's images. */
export async function hashInput(path: string, signal?: AbortSignal): Promise<string> {
  if (!(await stat(path)).isDirectory()) return hashFile(path, signal);
  const hash = createHash("sha256");
  for (const name of await imageNames(path)) {
    // A dangling link is a bad item, not the end of the shard.
    const content = await hashFile(join(path, name), signal).catch(() => "unreadable");
    signal?.throwIfAborted();
    hash.update(`${name}\0${content}\n`);
  }
  return hash.digest("hex");
}

async function hashFile(path: string, signal?: AbortSignal): Promise<string> {
  const hash = createHash("sha256");
  await pipeline(createReadStream(path), hash, signal ? { signal } : {});
  return hash.digest("hex");
}
