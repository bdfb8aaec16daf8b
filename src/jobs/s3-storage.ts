// Shards in storage that speaks S3: Amazon's, MinIO, Ceph, R2. An object appears when its upload is completed, never in parts.
// Credentials, region and endpoint come from the environment (AWS_ACCESS_KEY_ID, AWS_ENDPOINT_URL_S3) and ~/.aws, as the SDK reads them.

import { createWriteStream } from "node:fs";
import { mkdir } from "node:fs/promises";
import { dirname, join } from "node:path";
import { PassThrough, type Readable, Transform } from "node:stream";
import { pipeline } from "node:stream/promises";
import type { S3Client } from "@aws-sdk/client-s3";
import { IMAGE_SUFFIX } from "../corpus/image-folder.ts";
import { FetchError, InputError, quote } from "../errors.ts";
import type { WritableFile } from "../files/atomic-file.ts";
import { needPackage } from "../runtime/optional-package.ts";
import type { Entry, Storage } from "./storage.ts";

/** Of an object that is read: a shard is a copy on the disk while it is worked on. */
const MAX_SHARD_BYTES = 200e9;
/** Parts of an upload; S3 takes at most 10,000 of them, and none but the last below 5 MiB. */
const PART_BYTES = 16 * 2 ** 20;
/** Images of a folder, fetched at the same time. */
const TOGETHER = 8;

let client: Promise<S3Client> | undefined;

function load() {
  const packages = "@aws-sdk/client-s3@3 @aws-sdk/lib-storage@3";
  return needPackage(() => import("@aws-sdk/client-s3"), "s3://", packages);
}

function open(): Promise<S3Client> {
  client ??= load().then(({ S3Client }) => {
    const isElsewhere = Boolean(process.env.AWS_ENDPOINT_URL_S3 || process.env.AWS_ENDPOINT_URL);
    return new S3Client({
      // Other servers than Amazon's have no names of hosts for buckets.
      forcePathStyle: isElsewhere,
      // Newer checksums than the protocol asks for are not known everywhere.
      requestChecksumCalculation: "WHEN_REQUIRED",
      responseChecksumValidation: "WHEN_REQUIRED",
    });
  });
  return client;
}

/** The storage behind s3:// locations. */
export function s3Storage(): Storage {
  return { list, fetch, read, sizeBytes, publish };
}

async function list(location: string): Promise<readonly Entry[] | undefined> {
  const { Bucket, Key } = split(location);
  const prefix = Key === "" ? "" : `${Key.replace(/\/+$/, "")}/`;
  const entries: Entry[] = [];
  for await (const { key, isFolder } of walk(location, Bucket, prefix, "/"))
    entries.push({ name: key.slice(prefix.length).replace(/\/$/, ""), isFolder });
  return entries.length > 0 ? entries : undefined;
}

async function* walk(location: string, Bucket: string, Prefix: string, Delimiter?: string) {
  const { ListObjectsV2Command } = await load();
  const s3 = await open();
  let ContinuationToken: string | undefined;
  do {
    const command = new ListObjectsV2Command({ Bucket, Prefix, Delimiter, ContinuationToken });
    const page = await s3.send(command).catch(explain(location));
    for (const { Key = "" } of page.Contents ?? []) if (Key !== Prefix) yield { key: Key, isFolder: false };
    for (const { Prefix: key = "" } of page.CommonPrefixes ?? []) yield { key, isFolder: true };
    ContinuationToken = page.NextContinuationToken;
  } while (ContinuationToken !== undefined);
}

async function fetch(location: string, scratch: () => Promise<string>, signal?: AbortSignal): Promise<string> {
  const { Bucket, Key } = split(location);
  const folder = await scratch();
  const last = Key.replace(/\/+$/, "").replace(/^.*\//, "");
  if (!IMAGE_SUFFIX.test(Key) && !/\.[a-z\d]+$/i.test(last))
    return fetchFolder(location, join(folder, "images"), signal);
  // Its own name, since messages and manifests have it.
  const path = join(folder, last.replaceAll("\0", "_"));
  await download(Bucket, Key, path, location, signal);
  return path;
}

/** Copies the images below a prefix. Names that lead out of a folder are left out: no image has one. */
async function fetchFolder(location: string, folder: string, signal?: AbortSignal): Promise<string> {
  const { Bucket, Key } = split(location);
  const prefix = `${Key.replace(/\/+$/, "")}/`;
  const keys: string[] = [];
  for await (const { key } of walk(location, Bucket, prefix)) {
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
      await download(Bucket, key, path, location, signal);
    }
  };
  await Promise.all(Array.from({ length: TOGETHER }, work));
  return folder;
}

async function download(
  Bucket: string,
  Key: string,
  path: string,
  location: string,
  signal?: AbortSignal,
): Promise<void> {
  const { GetObjectCommand } = await load();
  const s3 = await open();
  const abort = signal && { abortSignal: signal };
  const { Body, ContentLength } = await s3.send(new GetObjectCommand({ Bucket, Key }), abort).catch(explain(location));
  let bytes = 0;
  const limit = new Transform({
    transform(piece: Uint8Array, _, done) {
      bytes += piece.length;
      done(bytes > MAX_SHARD_BYTES ? tooLarge(location) : null, piece);
    },
  });
  await pipeline(Body as Readable, limit, createWriteStream(path, { mode: 0o600 }), signal ? { signal } : {}).catch(
    explain(location),
  );
  if (ContentLength !== undefined && bytes !== ContentLength)
    throw new FetchError(`${quote(location)}: ${bytes} bytes came of ${ContentLength}`, { canRetry: true });
}

function tooLarge(location: string): InputError {
  return new InputError(`${quote(location)}: has more than ${MAX_SHARD_BYTES / 1e9} GB; split it`);
}

async function read(location: string, maxBytes: number): Promise<Uint8Array | undefined> {
  const size = await sizeBytes(location);
  if (size === undefined) return undefined;
  if (size > maxBytes) throw new InputError(`${quote(location)}: has ${size} bytes, at most ${maxBytes} are read`);
  const { GetObjectCommand } = await load();
  const s3 = await open();
  const { Body } = await s3.send(new GetObjectCommand(split(location))).catch(explain(location));
  return Body?.transformToByteArray().catch(explain(location));
}

async function sizeBytes(location: string): Promise<number | undefined> {
  const { HeadObjectCommand } = await load();
  const s3 = await open();
  try {
    return (await s3.send(new HeadObjectCommand(split(location)))).ContentLength;
  } catch (error) {
    if (statusOf(error) === 404) return undefined;
    return explain(location)(error);
  }
}

async function publish(
  location: string,
  write: (file: WritableFile) => Promise<void>,
  signal?: AbortSignal,
): Promise<void> {
  const { Upload } = await needPackage(() => import("@aws-sdk/lib-storage"), "s3://", "@aws-sdk/lib-storage@3");
  const stream = new PassThrough();
  const upload = new Upload({
    client: await open(),
    params: { ...split(location), Body: stream },
    partSize: PART_BYTES,
    queueSize: 2,
  });
  const stop = () => void upload.abort();
  signal?.addEventListener("abort", stop, { once: true });
  const sent = upload.done().catch(explain(location));
  // An upload that fails ends the writing, which would wait for ever for room in the stream.
  const broken = sent.then(() => new Promise<never>(() => undefined));
  broken.catch(() => undefined);
  try {
    await Promise.race([write(intoStream(stream)), broken]);
  } catch (error) {
    // Parts that were sent are removed, and no object appears.
    await upload.abort().catch(() => undefined);
    stream.destroy();
    await sent.catch(() => undefined);
    throw error;
  } finally {
    signal?.removeEventListener("abort", stop);
  }
  stream.end();
  await sent;
}

function intoStream(stream: PassThrough): WritableFile {
  return {
    write: (bytes, offset, length) =>
      new Promise((resolve, reject) => {
        // A copy: the upload reads it later, and who writes may use the bytes again.
        stream.write(bytes.slice(offset, offset + length), (error) =>
          error ? reject(error) : resolve({ bytesWritten: length }),
        );
      }),
  };
}

function split(location: string): { Bucket: string; Key: string } {
  const [, Bucket = "", Key = ""] = /^s3:\/\/([^/]*)\/?(.*)$/is.exec(location) ?? [];
  return { Bucket, Key };
}

function statusOf(error: unknown): number | undefined {
  return (error as { $metadata?: { httpStatusCode?: number } }).$metadata?.httpStatusCode;
}

/** What the storage or the way there says, as one sentence. What is not there, or is forbidden, stays so. */
function explain(location: string): (cause: unknown) => never {
  return (cause) => {
    if (cause instanceof InputError) throw cause;
    const { name = "", code } = (cause ?? {}) as NodeJS.ErrnoException;
    if (["NoSuchKey", "NoSuchBucket", "NotFound"].includes(name))
      throw new InputError(`${quote(location)}: there is no such object or bucket`, { cause });
    if (name === "CredentialsProviderError")
      throw new InputError(
        `${quote(location)}: there are no credentials; set AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY`,
        { cause },
      );
    const what = statusOf(cause) === 403 ? "the storage does not allow it" : `the storage failed: ${code ?? name}`;
    throw new FetchError(`${quote(location)}: ${what}`, { cause, canRetry: true });
  };
}
