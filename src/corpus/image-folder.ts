// A folder of images without text, for training the autoencoder.

import { createHash } from "node:crypto";
import { readdir } from "node:fs/promises";
import { basename } from "node:path";
import { InputError, quote } from "../errors.ts";
import { DataFolder } from "./data-folder.ts";
import type { DataSource } from "./example.ts";

export const IMAGE_SUFFIX = /\.(png|jpe?g|webp)$/i;
/** Limits the names kept in memory. */
const MAX_FILES = 5_000_000;

export async function openImageFolder(path: string): Promise<DataSource> {
  const folder = await DataFolder.open(path);
  const names = await imageNames(path);
  return {
    format: `images of ${basename(path)}, without words`,
    count: names.length,
    fingerprint: createHash("sha256").update(names.join("\0")).digest("hex").slice(0, 16),
    read: async (index) => ({ where: names[index]!, kind: "image", image: folder.image(names[index]!) }),
    key: async (index) => names[index]!,
    close: async () => {},
  };
}

/** The images of a folder and its subfolders, in order. Throws an InputError if there are too many. */
export async function imageNames(path: string): Promise<string[]> {
  const names = (await readdir(path, { recursive: true })).filter((name) => IMAGE_SUFFIX.test(name)).sort();
  if (names.length > MAX_FILES) throw new InputError(`${quote(path)}: has more than ${MAX_FILES / 1e6} million images`);
  return names;
}
