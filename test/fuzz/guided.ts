// Fuzzes one target, guided by coverage: inputs that reach new code are kept and edited further. Measuring coverage makes a parser
// three to four times slower, so of many inputs most are then edits of what was kept, in a thread that measures none.
//
//   node --import tsx --conditions=kelix-source test/fuzz/guided.ts TARGET INPUTS SEED FOLDER [--keep]
//
// The last line of output is a GuidedResult. FOLDER gets `current`, the input that runs, so that it is there when the process dies, and
// `fault-N`. --keep writes a small set of inputs that reach what the seeds do not into the corpus.

import { createHash } from "node:crypto";
import { once } from "node:events";
import { mkdirSync, readdirSync, readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { Worker } from "node:worker_threads";
import { counterRandom } from "../../src/random/counter.ts";
import { Coverage } from "./coverage.ts";
import { MAX_FAULTS, type ProbedInputs, Prober } from "./prober.ts";
import type { Target } from "./target.ts";
import { targets } from "./targets.ts";
import type { UnguidedInputs } from "./unguided.ts";

export interface GuidedResult extends ProbedInputs {
  readonly inputs: number;
  /** Of these, how many were guided. */
  readonly guided: number;
  /** Characters of code that ran for the seeds, and for all guided inputs. */
  readonly reachedBySeeds: number;
  readonly reached: number;
  readonly peakMegabytes: number;
  /** Of the processor. */
  readonly seconds: number;
}

/** Up to so many inputs are all guided, and of more this share. */
const ALL_GUIDED = 100_000;
const GUIDED_SHARE = 1 / 8;

/** Inputs between two looks at the coverage: the more, the longer nothing new was found. */
const MIN_BATCH = 256;
const MAX_BATCH = 8192;
/** Of the inputs of one batch, which are held at once. */
const MAX_BATCH_BYTES = 32e6;
const MAX_MS = 10_000;
/** No input runs. */
const NOT_YET = BigInt(Number.MAX_SAFE_INTEGER);
const MAX_BYTES = 1e9;
/** Of a target's corpus. */
const KEPT_BYTES = 1500;
const corpusRoot = "test/fuzz/corpus";

class Guided {
  readonly #target: Target;
  readonly #folder: string;
  readonly #coverage = new Coverage();
  readonly #started = new BigInt64Array(new SharedArrayBuffer(8));
  readonly #prober: Prober;

  constructor(target: Target, folder: string) {
    this.#target = target;
    this.#folder = folder;
    this.#prober = new Prober(target, folder, this.#started);
    const workerData = { started: this.#started, maxMs: MAX_MS, maxBytes: MAX_BYTES };
    Atomics.store(this.#started, 0, NOT_YET);
    new Worker(new URL("./watchdog.mjs", import.meta.url), { workerData, execArgv: [] }).unref();
  }

  async run(inputs: number, seed: number, keeps: boolean): Promise<GuidedResult> {
    const begin = process.cpuUsage();
    const seeds = await this.#target.seeds();
    const name = this.#target.name;
    for (const bytes of seeds) await this.#prober.probe(bytes);
    this.#note();
    const reachedBySeeds = this.#coverage.size;
    const found = [...seeds, ...readCorpus(name)];
    for (const bytes of found.slice(seeds.length)) await this.#prober.probe(bytes);
    this.#note();
    const random = counterRandom(seed, name);
    let draws = 0;
    const draw = (below: number) => Math.floor(random.uniform(draws++) * below);
    this.#prober.accepted = 0;
    const guided = inputs <= ALL_GUIDED ? inputs : Math.ceil(inputs * GUIDED_SHARE);
    let done = 0;
    let size = MIN_BATCH;
    while (done < guided && this.#prober.faults.length < MAX_FAULTS) {
      const batch: Uint8Array[] = [];
      for (let bytes = 0; batch.length < Math.min(size, guided - done) && bytes < MAX_BATCH_BYTES; ) {
        batch.push(this.#prober.make(found, draw));
        bytes += batch.at(-1)!.length;
      }
      for (const bytes of batch) await this.#prober.probe(bytes);
      done += batch.length;
      const isNew = this.#coverage.hasNew(this.#coverage.take());
      size = isNew ? Math.max(MIN_BATCH, size >> 1) : Math.min(MAX_BATCH, size * 2);
      if (!isNew) continue;
      const accepted = this.#prober.accepted;
      found.push(...(await this.#search(batch)));
      this.#prober.accepted = accepted;
    }
    const reached = this.#coverage.size;
    const { accepted } = this.#prober;
    const rest = await this.#unguided({ name, inputs: inputs - done, seed, folder: this.#folder, found });
    if (keeps) await this.#keep(seeds, found.slice(seeds.length));
    return {
      inputs: done + rest.inputs,
      guided: done,
      accepted: accepted + rest.accepted,
      reachedBySeeds,
      reached,
      slowestMs: Math.round(Math.max(this.#prober.slowestMs, rest.slowestMs)),
      peakMegabytes: Math.round(process.resourceUsage().maxRSS / 1000),
      seconds: secondsSince(begin),
      faults: [...this.#prober.faults, ...rest.faults],
    };
  }

  async #unguided(given: Omit<UnguidedInputs, "started">): Promise<ProbedInputs & { readonly inputs: number }> {
    if (given.inputs === 0 || this.#prober.faults.length >= MAX_FAULTS)
      return { inputs: 0, accepted: 0, slowestMs: 0, faults: [] };
    Atomics.store(this.#started, 0, NOT_YET); // the thread starts for seconds on a busy machine
    const workerData: UnguidedInputs = { ...given, started: this.#started };
    // A thread does not inherit how its parent reads TypeScript.
    const file = JSON.stringify(new URL("./unguided.ts", import.meta.url));
    const program = `import("tsx/esm/api").then(({ register }) => (register(), import(${file})))`;
    const worker = new Worker(program, { eval: true, workerData, execArgv: ["--conditions=kelix-source"] });
    const [result] = await once(worker, "message");
    return result;
  }

  /** Those of some inputs that reach something new: each half runs again alone, until one input is left. */
  async #search(batch: readonly Uint8Array[]): Promise<Uint8Array[]> {
    for (const bytes of batch) await this.#prober.probe(bytes);
    const run = this.#coverage.take();
    if (!this.#coverage.hasNew(run)) return []; // it was reached in the other half
    if (batch.length === 1) {
      this.#coverage.add(run);
      return [...batch];
    }
    const middle = batch.length >> 1;
    return [...(await this.#search(batch.slice(0, middle))), ...(await this.#search(batch.slice(middle)))];
  }

  /** Adds what ran since the last look; whether some of it is new. */
  #note(): boolean {
    return this.#coverage.add(this.#coverage.take());
  }

  /** Writes the smallest of the inputs that together reach as much as fits. */
  async #keep(seeds: readonly Uint8Array[], found: readonly Uint8Array[]): Promise<void> {
    this.#coverage.forget();
    for (const bytes of seeds) await this.#prober.probe(bytes);
    this.#note();
    const folder = join(corpusRoot, this.#target.name);
    let size = 0;
    for (const bytes of [...found].sort((a, b) => a.length - b.length)) {
      if (size + bytes.length > KEPT_BYTES) break;
      await this.#prober.probe(bytes);
      if (!this.#note()) continue;
      size += bytes.length;
      mkdirSync(folder, { recursive: true });
      writeFileSync(join(folder, createHash("sha256").update(bytes).digest("hex").slice(0, 12)), bytes);
    }
  }
}

/** Of the processor, all threads of this process together. */
function secondsSince(begin: NodeJS.CpuUsage): number {
  const { user, system } = process.cpuUsage(begin);
  return Math.round((user + system) / 1e5) / 10;
}

function readCorpus(name: string): Uint8Array[] {
  try {
    const folder = join(corpusRoot, name);
    return readdirSync(folder).map((file) => readFileSync(join(folder, file)));
  } catch {
    return []; // there is none yet
  }
}

const [name, inputs, seed, folder, flag] = process.argv.slice(2);
const target = targets.find((one) => one.name === name);
if (!target || folder === undefined) throw new Error("usage: guided.ts TARGET INPUTS SEED FOLDER [--keep]");
const result = await new Guided(target, folder).run(Number(inputs), Number(seed), flag === "--keep");
console.log(JSON.stringify(result));
process.exit(0); // threads of a target may still live
