// Storage and whole shards against a server that speaks S3. What happens when processes are killed is in test/long/jobs.test.ts.

import { mkdtemp, readFile, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, afterEach, beforeAll, expect, test, vi } from "vitest";
import { startRedis } from "../../test/redis-server.ts";
import { answerS3, startS3, type TestS3 } from "../../test/s3-server.ts";
import { smallImage, tarOf, writeShard } from "../../test/shard-files.ts";
import { writeTinyModel } from "../../test/tiny-model.ts";
import { writeAll } from "../output/atomic-file.ts";
import { localEngine } from "./engine.ts";
import { findShards } from "./find-shards.ts";
import { loadShardModel } from "./load-model.ts";
import { JobQueue } from "./queue.ts";
import { runShard, type ShardModel } from "./run-shard.ts";
import { s3Storage } from "./s3-storage.ts";
import { parseShard } from "./shard.ts";
import type { Storage } from "./storage.ts";
import { work } from "./worker.ts";

let folder: string;
let modelFolder: string;
let model: ShardModel;
let s3: TestS3;
let storage: Storage;
beforeAll(async () => {
  folder = await mkdtemp(join(tmpdir(), "kelix-s3-test-"));
  modelFolder = await writeTinyModel(join(folder, "model"));
  model = await loadShardModel(modelFolder, { threads: 1 });
  s3 = await startS3("corpus", "results");
  setEnv();
  storage = s3Storage();
});
afterEach(() => {
  s3.breakWith(undefined);
  setEnv();
});
afterAll(async () => {
  vi.unstubAllEnvs();
  await model.kelix.dispose();
  await s3.close();
  await rm(folder, { recursive: true });
});

function setEnv(changes: Readonly<Record<string, string | undefined>> = {}): void {
  for (const [name, value] of Object.entries({ ...s3.env, ...changes })) vi.stubEnv(name, value);
}

const put = (location: string, bytes: Uint8Array) => storage.publish(location, (file) => writeAll(file, bytes));
const bytesOf = async (location: string) => Buffer.from((await storage.read(location, 1e9))!);
const shard = (name: string, output = "s3://results/out") =>
  parseShard({ task: "tokenize", options: {}, input: `s3://corpus/${name}.tar`, name, output, model: modelFolder });
const run = (name: string, output?: string) => runShard(shard(name, output), { model, version: "1" });

/** Two parts of an upload. */
const LARGE = largeBytes(20_000_000);

function largeBytes(length: number): Uint8Array {
  const bytes = new Uint8Array(length);
  for (let i = 0; i < length; i++) bytes[i] = i * 7 + (i >> 9);
  return bytes;
}

test("objects are written whole in parts, read, copied to the disk and listed", async () => {
  await put("s3://corpus/a/large.tar", LARGE);
  expect(s3.requests().filter((line) => line.startsWith("PUT") && line.includes("partNumber="))).toHaveLength(2);
  await put("s3://corpus/a/small", new Uint8Array([1, 2, 3]));
  await put("s3://corpus/a/b/empty", new Uint8Array());
  expect(await storage.sizeBytes("s3://corpus/a/large.tar")).toBe(20_000_000);
  expect(await storage.sizeBytes("s3://corpus/a/none")).toBeUndefined();
  expect((await bytesOf("s3://corpus/a/large.tar")).equals(LARGE)).toBe(true);
  expect(await storage.read("s3://corpus/a/none", 9)).toBeUndefined();
  await expect(storage.read("s3://corpus/a/small", 2)).rejects.toThrow('small": has 3 bytes, at most 2 are read');
  const scratch = await mkdtemp(join(folder, "scratch-"));
  const copy = await storage.fetch("s3://corpus/a/large.tar", async () => scratch);
  expect((await readFile(copy)).equals(LARGE)).toBe(true);
  expect(await storage.list("s3://corpus/a")).toEqual([
    { name: "large.tar", isFolder: false },
    { name: "small", isFolder: false },
    { name: "b", isFolder: true },
  ]);
  expect(await storage.list("s3://corpus/none")).toBeUndefined();
  expect(await s3.unfinished("corpus")).toEqual([]);
});

test("an upload that fails or is stopped leaves neither an object nor parts", async () => {
  const failing = storage.publish("s3://corpus/failed.tar", async (file) => {
    await writeAll(file, LARGE);
    throw new Error("the disk is full");
  });
  await expect(failing).rejects.toThrow("the disk is full");
  const controller = new AbortController();
  const stopped = storage.publish(
    "s3://corpus/failed.tar",
    async (file) => {
      await writeAll(file, LARGE.subarray(0, 18_000_000));
      controller.abort(new Error("stopped"));
      await writeAll(file, LARGE.subarray(18_000_000));
    },
    controller.signal,
  );
  await expect(stopped).rejects.toThrow("stopped");
  s3.breakWith((request, response) => {
    if (!request.url?.includes("partNumber=2")) return false;
    answerS3(response, 403, "AccessDenied");
    return true;
  });
  await expect(put("s3://corpus/failed.tar", LARGE)).rejects.toThrow(
    '"s3://corpus/failed.tar": the storage does not allow this',
  );
  expect(await storage.sizeBytes("s3://corpus/failed.tar")).toBeUndefined();
  expect(await s3.unfinished("corpus")).toEqual([]);
});

test("a shard gives the same files as on this machine, and is not done again", async () => {
  const local = await writeShard(join(folder, "000.tar"), 5);
  await put("s3://corpus/000.tar", await readFile(local));
  expect(await run("000")).toEqual({ isSkipped: false, items: 5, done: 5, bad: 0 });
  const output = join(folder, "out");
  await runShard({ ...shard("000"), input: local, output }, { model, version: "1" });
  for (const name of ["000.safetensors", "000.manifest.json"])
    expect(await bytesOf(`s3://results/out/${name}`)).toEqual(await readFile(join(output, name)));
  s3.requests();
  expect((await run("000")).isSkipped).toBe(true);
  expect(s3.requests().filter((line) => /^(PUT|POST)/.test(line))).toEqual([]);
});

test("a folder of images is a shard; names that lead out of it are left out", async () => {
  await put("s3://corpus/photos/a.png", await smallImage(1));
  await put("s3://corpus/photos/more/b.png", await smallImage(2));
  await put("s3://corpus/photos/notes.txt", new Uint8Array(3));
  const [found] = await findShards(["s3://corpus/photos"]);
  expect(found).toEqual({ input: "s3://corpus/photos", name: "photos" });
  const report = await runShard({ ...shard("photos"), ...found! }, { model, version: "1" });
  expect(report).toMatchObject({ done: 2, bad: 0 });
  await expect(run("none-of-this")).rejects.toThrow('"s3://corpus/none-of-this.tar": there is no such object');
});

test("a queue of shards named by a pattern goes from bucket to bucket; what is missing is dead", async () => {
  for (let i = 0; i < 3; i++)
    await put(`s3://corpus/q/00${i}.tar`, await tarOf({ "0.png": await smallImage(i), "1.png": new Uint8Array(9) }));
  const redis = await startRedis();
  const queue = await JobQueue.open(redis.url);
  const found = await findShards(["s3://corpus/q/{000..003}.tar"]);
  await queue.submit(found.map(({ input, name }) => ({ ...shard(name, "s3://results/q"), input })));
  const engine = localEngine({ version: "1", load: { threads: 1 } });
  await work(redis.url, { engine, isUntilEmpty: true, signal: new AbortController().signal });
  expect(await queue.status()).toMatchObject({ waiting: 0, dead: 1, done: { shards: 3, images: 6, bad: 3 } });
  expect(await queue.dead()).toMatchObject([
    { name: "003", attempts: 1, reason: '"s3://corpus/q/003.tar": there is no such object' },
  ]);
  const names = (await storage.list("s3://results/q"))!.map(({ name }) => name);
  expect(names).toEqual(["000", "001", "002"].flatMap((name) => [`${name}.manifest.json`, `${name}.safetensors`]));
  await queue.close();
  await redis.close();
});

test("a request is tried again while the storage is overloaded, and after a cut", async () => {
  await put("s3://corpus/slow", new Uint8Array([7]));
  let left = 2;
  s3.breakWith((request, response) => {
    if (left-- <= 0) return false;
    if (left === 1) answerS3(response, 503, "SlowDown");
    else request.socket.destroy();
    return true;
  });
  expect(await bytesOf("s3://corpus/slow")).toEqual(Buffer.from([7]));
  s3.breakWith((_, response) => {
    answerS3(response, 503, "SlowDown");
    return true;
  });
  await expect(storage.read("s3://corpus/slow", 9)).rejects.toMatchObject({
    message: '"s3://corpus/slow": the storage asks for fewer requests (SlowDown)',
    code: "fetch_failed",
    canRetry: true,
  });
  s3.breakWith((_, response) => {
    answerS3(response, 403, "AccessDenied");
    return true;
  });
  await expect(storage.read("s3://corpus/slow", 9)).rejects.toMatchObject({ canRetry: false });
});

test("a download that is cut, and storage that falls silent, fail in the end", async () => {
  setEnv({ AWS_MAX_ATTEMPTS: "1" });
  const impatient = s3Storage({ silenceMs: 200 });
  const scratch = () => mkdtemp(join(folder, "scratch-"));
  s3.breakWith((_, response) => {
    response.writeHead(200, { "Content-Length": "100" });
    response.write("some", () => response.destroy());
    return true;
  });
  await expect(impatient.fetch("s3://corpus/cut.tar", scratch)).rejects.toThrow(
    '"s3://corpus/cut.tar": the storage failed: ECONNRESET',
  );
  s3.breakWith((_, response) => {
    response.writeHead(200, { "Content-Length": "100" });
    return Boolean(response.write("some"));
  });
  await expect(impatient.fetch("s3://corpus/cut.tar", scratch)).rejects.toThrow("the storage does not answer");
  s3.breakWith(() => true);
  await expect(impatient.read("s3://corpus/cut.tar", 9)).rejects.toThrow("the storage does not answer");
});

test("says in one sentence what is wrong with credentials, region, bucket and address", async () => {
  const failure = async (env: Record<string, string | undefined>, location = "s3://corpus/000.tar") => {
    setEnv(env);
    const error: unknown = await s3Storage()
      .read(location, 9)
      .catch((error: unknown) => error);
    return (error as Error).message;
  };
  const at = '"s3://corpus/000.tar": ';
  expect(await failure({ AWS_ACCESS_KEY_ID: "other" })).toBe(
    `${at}the storage does not know the access key; check AWS_ACCESS_KEY_ID`,
  );
  expect(await failure({ AWS_ACCESS_KEY_ID: undefined, AWS_SECRET_ACCESS_KEY: undefined })).toBe(
    `${at}there are no credentials; set AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY`,
  );
  expect(await failure({ AWS_REGION: undefined })).toBe(
    `${at}no region is set; set AWS_REGION (us-east-1 for a storage without regions)`,
  );
  expect(await failure({}, "s3://nowhere/000.tar")).toBe('"s3://nowhere/000.tar": there is no bucket "nowhere"');
  expect(await failure({ AWS_ENDPOINT_URL_S3: "http://127.0.0.1:1" })).toBe(`${at}the storage failed: ECONNREFUSED`);
  s3.breakWith((_, response) => {
    answerS3(response, 403, "SignatureDoesNotMatch"); // s3rver checks no secrets
    return true;
  });
  expect(await failure({})).toBe(`${at}the secret key does not match the access key; check AWS_SECRET_ACCESS_KEY`);
  s3.breakWith(undefined);
  await expect(run("000", "s3://nowhere/out")).rejects.toThrow('there is no bucket "nowhere"');
});
