// Opens the training data of `--data PATH` in a format detected from file names: a folder with captions.jsonl, JSON Lines, WebDataset
// tars, Parquet, or images alone.

import { readdir, stat } from "node:fs/promises";
import { join } from "node:path";
import { InputError, quote } from "../errors.ts";
import { systemReason } from "../files/system-error.ts";
import type { DataSource } from "./example.ts";
import { IMAGE_SUFFIX, openImageFolder } from "./image-folder.ts";
import { openJsonLines } from "./jsonl.ts";
import { openParquet } from "./parquet.ts";
import { openWebDataset } from "./web-dataset.ts";

const formats: readonly (readonly [
  suffix: RegExp,
  open: (paths: readonly string[], signal?: AbortSignal) => Promise<DataSource>,
])[] = [
  [/\.jsonl$/i, openJsonLines],
  [/\.tar$/i, openWebDataset],
  [/\.parquet$/i, openParquet],
];

/** Opens a file or a folder. Throws an InputError for unusable data. */
export async function openData(path: string, signal?: AbortSignal): Promise<DataSource> {
  const info = await stat(path).catch((cause: unknown) => {
    throw new InputError(`${quote(path)}: cannot be read: ${systemReason(cause)}`, { cause });
  });
  if (!info.isDirectory()) {
    const open = formats.find(([suffix]) => suffix.test(path))?.[1];
    if (open) return open([path], signal);
    throw new InputError(`${quote(path)}: expected a folder, or a file that ends in .jsonl, .tar or .parquet`);
  }
  const names = (await readdir(path)).sort();
  if (names.includes("captions.jsonl")) return openJsonLines([join(path, "captions.jsonl")], signal);
  const found = formats
    .map(([suffix, open]) => ({
      open,
      paths: names.filter((name) => suffix.test(name)).map((name) => join(path, name)),
    }))
    .filter(({ paths }) => paths.length > 0);
  if (found.length > 1)
    throw new InputError(
      `${quote(path)}: holds files of ${found.length} formats (.jsonl, .tar, .parquet); name one folder or file for each training`,
    );
  if (found[0]) return found[0].open(found[0].paths, signal);
  if ((await readdir(path, { recursive: true })).some((name) => IMAGE_SUFFIX.test(name))) return openImageFolder(path);
  throw new InputError(
    `${quote(path)}: has no training data: no captions.jsonl, no .jsonl, .tar or .parquet files, and no images`,
  );
}
