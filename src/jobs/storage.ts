// Where shards lie: in folders of this machine, or in storage that speaks S3. Outputs appear whole, under their final names, or not
// at all.

import { isAbsolute, resolve } from "node:path";
import { fileURLToPath } from "node:url";
import { InputError, quote } from "../errors.ts";
import { publicUrl } from "../files/safe-url.ts";
import type { WritableFile } from "../output/atomic-file.ts";
import { localStorage } from "./local-storage.ts";

export interface Entry {
  /** The last part of its name. */
  readonly name: string;
  readonly isFolder: boolean;
}

/** Locations are absolute paths, or s3://bucket/key. */
export interface Storage {
  /** What lies in a folder; undefined where there is none of that name. */
  list(location: string): Promise<readonly Entry[] | undefined>;
  /** A path of this machine at which the input can be read: itself, or a copy in `scratch`. Throws an InputError if there is none. */
  fetch(location: string, scratch: () => Promise<string>, signal?: AbortSignal): Promise<string>;
  /** A small file; undefined where there is none. */
  read(location: string, maxBytes: number): Promise<Uint8Array | undefined>;
  /** Of a file; undefined where there is none. */
  sizeBytes(location: string): Promise<number | undefined>;
  /** Puts what `write` writes under the final name once it is whole. When `write` fails nothing is there that was not before. */
  publish(location: string, write: (file: WritableFile) => Promise<void>, signal?: AbortSignal): Promise<void>;
}

let buckets: Promise<Storage> | undefined;

/** The storage of a location. */
export async function storageOf(location: string): Promise<Storage> {
  if (!isBucket(location)) return localStorage;
  buckets ??= import("./s3-storage.ts").then(({ s3Storage }) => s3Storage());
  return buckets;
}

export function isBucket(location: string): boolean {
  return /^s3:\/\//i.test(location);
}

/** What a user names as a location. Throws an InputError for other addresses, and for credentials in one. */
export function parseLocation(name: string): string {
  if (/^file:/i.test(name)) return fileURLToPath(name);
  if (!isBucket(name)) {
    if (/^[a-z][a-z\d+.-]+:\/\//i.test(name))
      throw refuse(name, "shards lie in folders of this machine or at s3://bucket/key");
    if (name === "" || name.includes("\0")) throw refuse(name, "that is no file's name");
    return isAbsolute(name) ? name : resolve(name);
  }
  const [, bucket = "", key = ""] = /^s3:\/\/([^/]*)\/?(.*)$/is.exec(name) ?? [];
  if (bucket.includes("@") || /[?#]/.test(key) || /[?#]/.test(bucket))
    throw refuse(
      name,
      "an s3:// address holds no credentials and no query; they come from the environment (AWS_ACCESS_KEY_ID)",
    );
  if (!/^[a-z\d][a-z\d.-]{1,61}[a-z\d]$/.test(bucket)) throw refuse(name, "expected s3://bucket/key");
  return `s3://${bucket}/${key}`;
}

/** A file or folder in a folder. */
export function joinLocation(folder: string, name: string): string {
  return `${folder.replace(/\/+$/, "")}/${name}`;
}

function refuse(name: string, why: string): InputError {
  return new InputError(`${quote(publicUrl(name))}: ${why}`, { code: "invalid_option" });
}
