// Corpus jobs when things die: workers, Redis, the network between them. Shards are tokenized and drawn again by `kelix worker`
// processes, with folders and with a server that speaks S3. While it goes on, every file under a final name is compared with what one
// machine alone wrote: nothing is lost, half written or changed. A small model with random weights, so that dying costs more than working.

import { mkdtemp, readdir, readFile, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { setTimeout as sleep } from "node:timers/promises";
import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, test, vi } from "vitest";
import { localStorage } from "../../src/jobs/local-storage.ts";
import { JobQueue } from "../../src/jobs/queue.ts";
import { s3Storage } from "../../src/jobs/s3-storage.ts";
import { parseShard, type Shard, type TaskName } from "../../src/jobs/shard.ts";
import { joinLocation, type Storage } from "../../src/jobs/storage.ts";
import { writeAll } from "../../src/output/atomic-file.ts";
import { isTemporaryName } from "../../src/output/stale.ts";
import { counterRandom } from "../../src/random/counter.ts";
import { startRedis, type TestRedis } from "../redis-server.ts";
import { runCli } from "../run-cli.ts";
import { writeShards } from "../shard-files.ts";
import { startProxy, type TcpProxy } from "../tcp-proxy.ts";
import { writeTinyModel } from "../tiny-model.ts";
import { killGroup, ONE_THREAD, startWorkers, type WorkerProcesses } from "../worker-processes.ts";
import { installS3s, mayHaveS3s, type S3sServer, startS3s } from "./s3s-server.ts";

const LONG_MS = 1_800_000;
const WORKER_KILLS = 50;
const REDIS_KILLS = 10;
const CUTS = 20;
/** KELIX_TEST_IMAGES sets another number for a quick look. */
const CORPUS_IMAGES = Number(process.env.KELIX_TEST_IMAGES ?? 10_000);
const CORPUS_SHARDS = 20;
/** A worker that is silent for so long is taken for dead: short, so that the test does not wait. */
const LOCK = ["--lock", "2"];
const SHARDS = 8;
const IMAGES = 40;
const TASKS: Readonly<Partial<Record<TaskName, readonly string[]>>> = { tokenize: [], reconstruct: ["--steps", "1"] };
const random = counterRandom(1, "jobs").sequence();

type Files = ReadonlyMap<string, Buffer>;

let folder: string;
let model: string;
let inputs: string;
/** Of each task, what one machine writes. */
const expected = new Map<string, Files>();
beforeAll(async () => {
  folder = await mkdtemp(join(tmpdir(), "kelix-jobs-"));
  model = await writeTinyModel(join(folder, "model"));
  inputs = await writeShards(join(folder, "in"), SHARDS, IMAGES);
  for (const [task, options] of Object.entries(TASKS)) {
    await runHere(task, inputs, join(folder, task), options);
    expected.set(task, await filesIn(join(folder, task)));
  }
}, LONG_MS);
afterAll(() => rm(folder, { recursive: true, force: true }));

async function runHere(task: string, input: string, output: string, options: readonly string[] = []): Promise<void> {
  const args = ["jobs", "run", task, "--input", input, "--output", output, "--model", model, "--threads", "1"];
  const { status, err } = await runCli([...args, ...options], { env: ONE_THREAD });
  expect([status, err.match(/error.*/i)]).toEqual([0, null]);
}

async function filesIn(place: string): Promise<Files> {
  const names = (await readdir(place)).sort();
  return new Map(await Promise.all(names.map(async (name) => [name, await readFile(join(place, name))] as const)));
}

test(
  `one worker and two give the files that one machine alone gives, of ${CORPUS_IMAGES.toLocaleString("en")} images`,
  async () => {
    const corpus = await writeShards(join(folder, "corpus"), CORPUS_SHARDS, Math.ceil(CORPUS_IMAGES / CORPUS_SHARDS));
    const alone = join(folder, "alone");
    await runHere("tokenize", corpus, alone);
    const wanted = await filesIn(alone);
    expect(wanted.size).toBe(2 * CORPUS_SHARDS);
    const redis = await startRedis();
    const queue = await JobQueue.open(redis.url);
    for (const count of [1, 2]) {
      const output = join(folder, `by-${count}`);
      const shards = [...wanted.keys()].filter((name) => !name.endsWith(".json")).map((name) => name.slice(0, 3));
      await queue.submit(shards.map((name) => shardOf("tokenize", join(corpus, `${name}.tar`), name, output)));
      const workers = startWorkers(count, ["--redis", redis.url, "--until-empty"]);
      await workers.ended();
      expectSame(await filesIn(output), wanted);
      expect(await queue.status()).toMatchObject({ waiting: 0, active: 0, delayed: 0, dead: 0 });
    }
    const images = 2 * CORPUS_SHARDS * Math.ceil(CORPUS_IMAGES / CORPUS_SHARDS);
    expect((await queue.status()).done).toEqual({ shards: 2 * CORPUS_SHARDS, images, bad: 0 });
    await queue.close();
    await redis.close();
  },
  LONG_MS,
);

function expectSame(found: Files, wanted: Files): void {
  expect([...found.keys()]).toEqual([...wanted.keys()]);
  for (const [name, bytes] of found) expect(bytes.equals(wanted.get(name)!), name).toBe(true);
}

function shardOf(task: string, input: string, name: string, output: string): Shard {
  return parseShard({ task, options: task === "reconstruct" ? { steps: 1 } : {}, input, name, output, model });
}

/** Where the shards of a test lie. */
interface Place {
  readonly storage: Storage;
  readonly input: string;
  readonly output: string;
  /** What workers need in their environment; with a proxy's port where they are to go through it. */
  env(port?: number): Record<string, string>;
  /** Of the server, if it is one. */
  readonly port?: number;
  close(): Promise<void>;
}

async function localPlace(): Promise<Place> {
  const output = await mkdtemp(join(folder, "out-"));
  return { storage: localStorage, input: inputs, output, env: () => ({}), close: async () => {} };
}

async function s3Place(): Promise<Place> {
  const server: S3sServer = await startS3s("corpus", "results");
  for (const [name, value] of Object.entries(server.env())) vi.stubEnv(name, value);
  const storage = s3Storage();
  for (const [name, bytes] of await filesIn(inputs))
    await storage.publish(`s3://corpus/${name}`, (file) => writeAll(file, bytes));
  const close = async () => {
    vi.unstubAllEnvs();
    await server.close();
  };
  const { port, env } = server;
  return { storage, input: "s3://corpus", output: "s3://results", env, port, close };
}

/** What is there, what has to be installed for it, and whether that is possible. */
const places = [
  { name: "folders", open: localPlace, install: async () => {}, isPossible: true },
  { name: "S3", open: s3Place, install: installS3s, isPossible: mayHaveS3s() },
];

const possible = places.filter(({ isPossible }) => isPossible).map((place) => [place.name, place] as const);
describe.each(possible)("with %s", (name, { open, install }) => {
  let place: Place;
  let redis: TestRedis;
  let proxies: TcpProxy[];
  let workers: WorkerProcesses;
  beforeAll(install, LONG_MS);
  beforeEach(async () => {
    place = await open();
    redis = await startRedis({ aof: true });
    proxies = [];
  });
  afterEach(async () => {
    await workers.close();
    for (const proxy of proxies) await proxy.close();
    await redis.close();
    await place.close();
  });

  test(
    `${WORKER_KILLS} times kill -9 of a worker, half of them with its model`,
    async () => {
      workers = startWorkers(2, ["--redis", redis.url, ...LOCK], { env: place.env(), restart: true });
      await whileWorking(WORKER_KILLS, async () => {
        const busy = workers.busy();
        const victim = busy[Math.floor(random.uniform() * busy.length)]!;
        if (random.uniform() < 0.5) killGroup(victim);
        else victim.kill("SIGKILL");
      });
    },
    LONG_MS,
  );

  test(
    `${REDIS_KILLS} times kill -9 of Redis`,
    async () => {
      workers = startWorkers(2, ["--redis", redis.url, ...LOCK], { env: place.env(), restart: true });
      await whileWorking(REDIS_KILLS, () => redis.killAndRestart(() => sleep(2000 * random.uniform())));
    },
    LONG_MS,
  );

  test(
    `${CUTS} times a cut or a silence of the network`,
    async () => {
      const toRedis = await startProxy(redis.port);
      proxies.push(toRedis);
      const toStorage = place.port === undefined ? undefined : await startProxy(place.port);
      if (toStorage) proxies.push(toStorage);
      const url = `redis://127.0.0.1:${toRedis.port}`;
      workers = startWorkers(2, ["--redis", url, ...LOCK], { env: place.env(toStorage?.port), restart: true });
      await whileWorking(CUTS, async () => {
        const proxy = proxies[Math.floor(random.uniform() * proxies.length)]!;
        // Longer than a lock lives, and shorter.
        const forMs = 5000 * random.uniform();
        await (random.uniform() < 0.5 ? proxy.cut(forMs) : proxy.silence(forMs));
      });
    },
    LONG_MS,
  );

  /** Submits batches of shards and strikes at random moments while they are worked on; then lets the last ones come to their end. */
  async function whileWorking(strikes: number, strike: () => Promise<void>): Promise<void> {
    let struck = 0;
    const striking = (async () => {
      for (; struck < strikes; struck++) {
        while (workers.busy().length === 0) await sleep(20);
        await sleep(1500 * random.uniform());
        if (workers.busy().length === 0) continue;
        await strike();
      }
    })();
    let batches = 0;
    while (struck < strikes) await doBatch(batches++, striking);
    await striking;
    const { done, dead } = await withQueue((queue) => queue.status());
    const total = batches * SHARDS * Object.keys(TASKS).length;
    // A worker that dies between the end of a shard and its count leaves that out; none is counted twice.
    expect(done.shards).toBeLessThanOrEqual(total);
    expect([dead, done.bad]).toEqual([0, 0]);
    console.log(`${name}: ${strikes} strikes during ${total} shards; ${done.shards} counted`);
  }

  /** All shards once, into an output of their own. */
  async function doBatch(batch: number, striking: Promise<void>): Promise<void> {
    const outputs = Object.keys(TASKS).map((task) => ({ task, at: joinLocation(place.output, `${batch}/${task}`) }));
    const names = [...expected.get("tokenize")!.keys()].filter((name) => !name.endsWith(".json"));
    const shards = names.flatMap((name) =>
      outputs.map(({ task, at }) => {
        const shard = name.slice(0, 3);
        return shardOf(task, joinLocation(place.input, `${shard}.tar`), shard, at);
      }),
    );
    await withQueue((queue) => queue.submit(shards));
    const seen = new Set<string>();
    let failure: unknown;
    striking.catch((error: unknown) => {
      failure = error;
    });
    while (true) {
      if (failure) throw failure;
      const { waiting, active, delayed, dead } = await withQueue((queue) => queue.status());
      for (const { task, at } of outputs) await expectWhole(task, at, seen);
      if (dead > 0) throw new Error(JSON.stringify(await withQueue((queue) => queue.dead())));
      if (waiting + active + delayed === 0) break;
      await sleep(200);
    }
    seen.clear();
    for (const { task, at } of outputs) {
      await expectWhole(task, at, seen);
      expect([...seen].filter((name) => name.startsWith(`${at}/`))).toHaveLength(expected.get(task)!.size);
    }
  }

  /** Everything under a final name is what one machine wrote, and a manifest is never there before its output. */
  async function expectWhole(task: string, at: string, seen: Set<string>): Promise<void> {
    const wanted = expected.get(task)!;
    const listed = ((await place.storage.list(at)) ?? [])
      .map(({ name }) => name)
      .filter((name) => !isTemporaryName(name));
    for (const name of listed.filter((name) => !seen.has(`${at}/${name}`))) {
      const location = joinLocation(at, name);
      const bytes = await place.storage.read(location, 1e9);
      expect(wanted.get(name) && bytes && Buffer.from(bytes).equals(wanted.get(name)!), location).toBe(true);
      seen.add(`${at}/${name}`);
      const output = [...wanted.keys()].find(
        (other) => other.startsWith(name.slice(0, 4)) && !other.endsWith(".json"),
      )!;
      if (name.endsWith(".json"))
        expect(await place.storage.sizeBytes(joinLocation(at, output)), location).toBeDefined();
    }
  }

  /** Redis may be dead just now. */
  async function withQueue<T>(use: (queue: JobQueue) => Promise<T>): Promise<T> {
    for (let tries = 0; ; tries++) {
      try {
        const queue = await JobQueue.open(redis.url);
        try {
          return await use(queue);
        } finally {
          await queue.close();
        }
      } catch (error) {
        if (tries === 50) throw error;
        await sleep(200);
      }
    }
  }
});
