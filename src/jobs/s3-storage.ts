// Shards in S3-compatible storage: Amazon's, MinIO, Ceph, R2. An object appears once its upload is complete, never in part.

import { createWriteStream } from "node:fs";
import { mkdir } from "node:fs/promises";
import { dirname, join } from "node:path";
import { PassThrough, type Readable, Transform } from "node:stream";
import { pipeline } from "node:stream/promises";
import type { S3Client } from "@aws-sdk/client-s3";
import { IMAGE_SUFFIX } from "../corpus/image-folder.ts";
import { FetchError, InputError, quote } from "../errors.ts";
import type { WritableFile } from "../output/atomic-file.ts";
import { needPackage } from "../runtime/optional-package.ts";
import { explainS3, loadS3, openS3, statusOf } from "./s3-client.ts";
import type { Entry, Storage } from "./storage.ts";

/** The largest object that is read: a shard is copied to the disk while it is worked on. */
const MAX_SHARD_BYTES = 200e9;
/** The size of an upload's parts. S3 takes at most 10,000 of them, and only the last may be smaller than 5 MiB. */
const PART_BYTES = 16 * 2 ** 20;
/** Images of a folder that are fetched at the same time. */
const TOGETHER = 8;
/** A connection without traffic for this long is given up. */
const SILENCE_MS = 60_000;

/** The storage behind s3:// locations. Its client is opened when it is first needed. */
export function s3Storage({ silenceMs = SILENCE_MS } = {}): Storage {
  let client: Promise<S3Client> | undefined;
  const open: Open = () => {
    client ??= openS3(silenceMs);
    return client;
  };
  return {
    list: (location) => list(open, location),
    fetch: (location, scratch, signal) => fetch(open, location, scratch, signal),
    read: (location, maxBytes) => read(open, location, maxBytes),
    sizeBytes: (location) => sizeBytes(open, location),
    publish: (location, write, signal) => publish(open, location, write, signal),
  };
}

type Open = () => Promise<S3Client>;

async function list(open: Open, location: string): Promise<readonly Entry[] | undefined> {
  const { Bucket, Key } = split(location);
  const prefix = Key === "" ? "" : `${Key.replace(/\/+$/, "")}/`;
  const entries: Entry[] = [];
  for await (const { key, isFolder } of walk(open, location, Bucket, prefix, "/"))
    entries.push({ name: key.slice(prefix.length).replace(/\/$/, ""), isFolder });
  return entries.length > 0 ? entries : undefined;
}

async function* walk(open: Open, location: string, Bucket: string, Prefix: string, Delimiter?: string) {
  const { ListObjectsV2Command } = await loadS3();
  const s3 = await open();
  let ContinuationToken: string | undefined;
  do {
    const command = new ListObjectsV2Command({ Bucket, Prefix, Delimiter, ContinuationToken });
    const page = await s3.send(command).catch(explainS3(location));
    for (const { Key = "" } of page.Contents ?? []) if (Key !== Prefix) yield { key: Key, isFolder: false };
    for (const { Prefix: key = "" } of page.CommonPrefixes ?? []) yield { key, isFolder: true };
    ContinuationToken = page.NextContinuationToken;
  } while (ContinuationToken !== undefined);
}

async function fetch(
  open: Open,
  location: string,
  scratch: () => Promise<string>,
  signal?: AbortSignal,
): Promise<string> {
  const { Bucket, Key } = split(location);
  const folder = await scratch();
  const last = Key.replace(/\/+$/, "").replace(/^.*\//, "");
  if (!IMAGE_SUFFIX.test(Key) && !/\.[a-z\d]+$/i.test(last))
    return fetchFolder(open, location, join(folder, "images"), signal);
  // Its own name, since messages and manifests have it.
  const path = join(folder, last.replaceAll("\0", "_"));
  await download(open, Bucket, Key, path, location, signal);
  return path;
}

/** Copies the images below a prefix. Names that lead out of a folder are left out: no image has one. */
async function fetchFolder(open: Open, location: string, folder: string, signal?: AbortSignal): Promise<string> {
  const { Bucket, Key } = split(location);
  const prefix = `${Key.replace(/\/+$/, "")}/`;
  const keys: string[] = [];
  for await (const { key } of walk(open, location, Bucket, prefix)) {
    const parts = key.slice(prefix.length).split("/");
    if (IMAGE_SUFFIX.test(key) && parts.every((part) => /^[^\\\0]+$/.test(part) && !/^\.\.?$/.test(part)))
      keys.push(key);
  }
  if (keys.length === 0) throw new InputError(`${quote(location)}: there are no images below this name`);
  let next = 0;
  const work = async () => {
    while (next < keys.length) {
      const key = keys[next++]!;
      const path = join(folder, ...key.slice(prefix.length).split("/"));
      await mkdir(dirname(path), { recursive: true });
      await download(open, Bucket, key, path, location, signal);
    }
  };
  await Promise.all(Array.from({ length: TOGETHER }, work));
  return folder;
}

async function download(
  open: Open,
  Bucket: string,
  Key: string,
  path: string,
  location: string,
  signal?: AbortSignal,
): Promise<void> {
  const { GetObjectCommand } = await loadS3();
  const s3 = await open();
  const abort = signal && { abortSignal: signal };
  const { Body, ContentLength } = await s3
    .send(new GetObjectCommand({ Bucket, Key }), abort)
    .catch(explainS3(location));
  let bytes = 0;
  const limit = new Transform({
    transform(piece: Uint8Array, _, done) {
      bytes += piece.length;
      done(bytes > MAX_SHARD_BYTES ? tooLarge(location) : null, piece);
    },
  });
  await pipeline(Body as Readable, limit, createWriteStream(path, { mode: 0o600 }), signal ? { signal } : {}).catch(
    explainS3(location),
  );
  if (ContentLength !== undefined && bytes !== ContentLength)
    throw new FetchError(`${quote(location)}: ${bytes} bytes came of ${ContentLength}`);
}

function tooLarge(location: string): InputError {
  return new InputError(`${quote(location)}: has more than ${MAX_SHARD_BYTES / 1e9} GB; split it`);
}

async function read(open: Open, location: string, maxBytes: number): Promise<Uint8Array | undefined> {
  const { GetObjectCommand } = await loadS3();
  const s3 = await open();
  try {
    const { Body, ContentLength = 0 } = await s3.send(new GetObjectCommand(split(location)));
    if (ContentLength <= maxBytes) return await Body?.transformToByteArray();
    (Body as Readable).destroy();
    throw new InputError(`${quote(location)}: has ${ContentLength} bytes, at most ${maxBytes} are read`);
  } catch (error) {
    // Unlike HEAD, this tells a missing bucket from a missing object, so that a shard fails before its work is done.
    if ((error as Error).name === "NoSuchKey") return undefined;
    return explainS3(location)(error);
  }
}

async function sizeBytes(open: Open, location: string): Promise<number | undefined> {
  const { HeadObjectCommand } = await loadS3();
  const s3 = await open();
  try {
    return (await s3.send(new HeadObjectCommand(split(location)))).ContentLength;
  } catch (error) {
    if (statusOf(error) === 404) return undefined;
    return explainS3(location)(error);
  }
}

async function publish(
  open: Open,
  location: string,
  write: (file: WritableFile) => Promise<void>,
  signal?: AbortSignal,
): Promise<void> {
  const { Upload } = await needPackage(() => import("@aws-sdk/lib-storage"), "s3://", "@aws-sdk/lib-storage@3");
  const stream = new PassThrough();
  const params = { ...split(location), Body: stream };
  const upload = new Upload({ client: await open(), params, partSize: PART_BYTES, queueSize: 2 });
  // An upload whose stream fails removes the parts that were sent, and then ends. Its own abort() would not wait for that.
  const stop = () => void stream.destroy(new Error("the upload was stopped"));
  stream.on("error", () => undefined); // the upload ends with it
  signal?.addEventListener("abort", stop, { once: true });
  const sent = upload.done().catch(explainS3(location));
  // When the upload fails, the writer would wait for ever for room in the stream.
  const failed = new Promise<never>((_, reject) => sent.catch(reject));
  failed.catch(() => undefined);
  try {
    await Promise.race([write(intoStream(stream)), failed]);
    stream.end();
    await sent;
  } catch (error) {
    stop();
    const reason = await sent.catch((reason: unknown) => reason);
    signal?.throwIfAborted();
    throw error instanceof StreamEnded ? reason : error;
  } finally {
    signal?.removeEventListener("abort", stop);
  }
}

/** All that a writer sees of an upload that failed. */
class StreamEnded extends Error {}

function intoStream(stream: PassThrough): WritableFile {
  return {
    write: (bytes, offset, length) =>
      new Promise((resolve, reject) => {
        // A copy: the upload reads it later, and the writer may reuse the bytes.
        stream.write(bytes.slice(offset, offset + length), (cause) =>
          cause ? reject(new StreamEnded("the upload has ended", { cause })) : resolve({ bytesWritten: length }),
        );
      }),
  };
}

function split(location: string): { Bucket: string; Key: string } {
  const [, Bucket = "", Key = ""] = /^s3:\/\/([^/]*)\/?(.*)$/is.exec(location) ?? [];
  return { Bucket, Key };
}
