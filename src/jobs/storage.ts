// Where shards are: in folders on this machine, or in S3-compatible storage. An output appears under its final name when it is complete,
// or not at all.

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
  /** The entries of a folder; undefined if it does not exist. */
  list(location: string): Promise<readonly Entry[] | undefined>;
  /** A local path to read the input from: its own, or a copy in `scratch`. Throws an InputError if the input does not exist. */
  fetch(location: string, scratch: () => Promise<string>, signal?: AbortSignal): Promise<string>;
  /** A small file; undefined if it does not exist. */
  read(location: string, maxBytes: number): Promise<Uint8Array | undefined>;
  /** The size of a file; undefined if it does not exist. */
  sizeBytes(location: string): Promise<number | undefined>;
  /** Puts what `write` writes under the final name once it is complete. If `write` fails, nothing changes. */
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

/** Parses a location as a user names it. Throws an InputError for other kinds of address, and for credentials in one. */
export function parseLocation(name: string): string {
  if (/^file:/i.test(name)) return parseLocation(pathOf(name));
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

function pathOf(url: string): string {
  try {
    return fileURLToPath(url);
  } catch {
    throw refuse(url, "expected the address of a file on this machine, such as file:///data/000.tar");
  }
}

/** A file or folder in a folder. */
export function joinLocation(folder: string, name: string): string {
  return `${folder.replace(/\/+$/, "")}/${name}`;
}

function refuse(name: string, why: string): InputError {
  return new InputError(`${quote(publicUrl(name))}: ${why}`, { code: "invalid_option" });
}
