// Corpus jobs: one machine alone, one worker of a queue, and two, each on a core of its own, tokenizing the same shards with kelix-nano.
// The three take turns and have to write the same files; rates are from the first shard's end to the last one's, without starting.

import { spawn } from "node:child_process";
import { once } from "node:events";
import { mkdtemp, readdir, readFile, rm } from "node:fs/promises";
import { cpus, loadavg, tmpdir } from "node:os";
import { join } from "node:path";
import { createInterface } from "node:readline";
import { findShards } from "../../../src/jobs/find-shards.ts";
import { JobQueue } from "../../../src/jobs/queue.ts";
import { parseShard } from "../../../src/jobs/shard.ts";
import { startRedis } from "../../../test/redis-server.ts";
import { program } from "../../../test/run-cli.ts";
import { writeShards } from "../../../test/shard-files.ts";
import { ONE_THREAD, startWorkers } from "../../../test/worker-processes.ts";
import type { Experiment } from "../experiment.ts";

const IMAGES = 2400;
const SHARDS = 24;

export const jobs: Experiment = {
  name: "jobs",
  about: "corpus jobs, images/s: { alone, one, two, overhead: 1 - one / alone, ratio: two / one }; needs redis-server",
  async report({ processes, isSmall, images = isSmall ? 20 * SHARDS : IMAGES }, log) {
    const folder = await mkdtemp(join(tmpdir(), "kelix-bench-jobs-"));
    try {
      const each = Math.ceil(images / SHARDS);
      const shards = await writeShards(join(folder, "shards"), SHARDS, each);
      const wanted = join(folder, "0-alone");
      const rounds: { readonly alone: number; readonly one: number; readonly two: number }[] = [];
      for (let i = 0; i < (isSmall ? 1 : processes); i++) {
        const alone = await measureAlone(shards, join(folder, `${i}-alone`), each);
        const one = await measureWorkers(1, shards, join(folder, `${i}-one`), each);
        const two = await measureWorkers(2, shards, join(folder, `${i}-two`), each);
        for (const by of ["one", "two"]) await expectSame(wanted, join(folder, `${i}-${by}`));
        log(`round ${i + 1}: ${[alone, one, two].map((rate) => rate.toFixed(1)).join(", ")} images/s`);
        rounds.push({ alone, one, two });
      }
      const best = (key: "alone" | "one" | "two") => Math.max(...rounds.map((round) => round[key]));
      const [alone, one, two] = [best("alone"), best("one"), best("two")];
      const overhead = 1 - one / alone;
      return { alone, one, two, overhead, ratio: two / one, rounds, images, load: loadavg()[0], cpu: cpus()[0]?.model };
    } finally {
      await rm(folder, { recursive: true });
    }
  },
};

/** Throws unless two folders hold the same files. */
async function expectSame(wanted: string, found: string): Promise<void> {
  const names = (await readdir(wanted)).sort();
  if (names.join() !== (await readdir(found)).sort().join()) throw new Error(`${found} has other files than ${wanted}`);
  for (const name of names) {
    const [a, b] = await Promise.all([wanted, found].map((folder) => readFile(join(folder, name))));
    if (!a!.equals(b!)) throw new Error(`${name}: a worker wrote other bytes than one machine alone`);
  }
}

/** Notes when shards end. */
class Ends {
  readonly #timesMs: number[] = [];

  hear(line: string): void {
    if (/^\d{3}: \d+ images/.test(line)) this.#timesMs.push(performance.now());
  }

  /** Images a second between the first shard's end and the last one's. */
  rate(each: number): number {
    if (this.#timesMs.length < 2) throw new Error("There were too few shards for a rate; ask for more images");
    const seconds = (this.#timesMs.at(-1)! - this.#timesMs[0]!) / 1000;
    return ((this.#timesMs.length - 1) * each) / seconds;
  }
}

async function measureAlone(shards: string, output: string, each: number): Promise<number> {
  const ends = new Ends();
  const args = ["jobs", "run", "tokenize", "--input", shards, "--output", output, "--threads", "1"];
  const child = spawn("taskset", ["-c", "0", process.execPath, program, ...args], {
    stdio: ["ignore", "ignore", "pipe"],
    env: { ...process.env, ...ONE_THREAD },
  });
  createInterface(child.stderr).on("line", (line) => ends.hear(line));
  const [status] = await once(child, "close");
  if (status !== 0) throw new Error(`kelix jobs run ended with status ${status}; npm run build first`);
  return ends.rate(each);
}

async function measureWorkers(count: number, shards: string, output: string, each: number): Promise<number> {
  const redis = await startRedis();
  const queue = await JobQueue.open(redis.url);
  const found = await findShards([shards]);
  const model = "kelix-nano";
  await queue.submit(
    found.map(({ input, name }) => parseShard({ task: "tokenize", options: {}, input, name, output, model })),
  );
  const ends = Array.from({ length: count }, () => new Ends());
  const workers = startWorkers(count, ["--redis", redis.url, "--until-empty"], {
    onLine: (line, worker) => ends[worker]!.hear(line),
  });
  await workers.ended();
  const { done } = await queue.status();
  await queue.close();
  await redis.close();
  if (done.shards !== SHARDS) throw new Error(`${done.shards} of ${SHARDS} shards were done`);
  return ends.reduce((sum, own) => sum + own.rate(each), 0);
}
