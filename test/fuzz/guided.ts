// Fuzzes one target, guided by coverage: inputs that reach new code are kept and edited further.
//
//   node --import tsx --conditions=kelix-source test/fuzz/guided.ts TARGET INPUTS SEED FOLDER [--keep]
//
// The last line of output is a GuidedResult. FOLDER gets `current`, the input that runs, so that it is there when the process dies, and
// `fault-N`. --keep writes a small set of inputs that reach what the seeds do not into the corpus.

import { createHash } from "node:crypto";
import { ftruncateSync, mkdirSync, openSync, readdirSync, readFileSync, writeFileSync, writeSync } from "node:fs";
import { join } from "node:path";
import { Worker } from "node:worker_threads";
import { counterRandom } from "../../src/random/counter.ts";
import { Coverage } from "./coverage.ts";
import { type Edit, editKinds, mutate } from "./mutate.ts";
import { probe, type Target, TooSlow } from "./target.ts";
import { targets } from "./targets.ts";

export interface GuidedResult {
  readonly inputs: number;
  readonly accepted: number;
  /** Characters of code that ran for the seeds, and for all inputs. */
  readonly reachedBySeeds: number;
  readonly reached: number;
  readonly slowestMs: number;
  readonly peakMegabytes: number;
  /** Of the processor. */
  readonly seconds: number;
  /** What was wrong, each with the file of its input. */
  readonly faults: readonly string[];
}

/** Inputs between two looks at the coverage: the more, the longer nothing new was found. */
const MIN_BATCH = 256;
const MAX_BATCH = 8192;
/** Of the inputs of one batch, which are held at once. */
const MAX_BATCH_BYTES = 32e6;
/** The rest would say the same. */
const MAX_FAULTS = 5;
const MAX_EDITS = 6;
const MAX_MS = 10_000;
const MAX_BYTES = 1e9;
/** Of a target's corpus. */
const KEPT_BYTES = 1500;
const corpusRoot = "test/fuzz/corpus";

class Guided {
  readonly #target: Target;
  readonly #folder: string;
  readonly #coverage = new Coverage();
  readonly #current: number;
  readonly #started = new BigInt64Array(new SharedArrayBuffer(8));
  readonly #faults: string[] = [];
  #accepted = 0;
  #slowestMs = 0;

  constructor(target: Target, folder: string) {
    this.#target = target;
    this.#folder = folder;
    this.#current = openSync(join(folder, "current"), "w");
    const workerData = { started: this.#started, maxMs: MAX_MS, maxBytes: MAX_BYTES };
    Atomics.store(this.#started, 0, BigInt(Date.now()));
    new Worker(new URL("./watchdog.mjs", import.meta.url), { workerData, execArgv: [] }).unref();
  }

  async run(inputs: number, seed: number, keeps: boolean): Promise<GuidedResult> {
    const begin = process.cpuUsage();
    const seeds = await this.#target.seeds();
    const name = this.#target.name;
    for (const bytes of seeds) await this.#probe(bytes);
    this.#note();
    const reachedBySeeds = this.#coverage.size;
    const found = [...seeds, ...readCorpus(name)];
    for (const bytes of found.slice(seeds.length)) await this.#probe(bytes);
    this.#note();
    const random = counterRandom(seed, name);
    let draws = 0;
    const draw = (below: number) => Math.floor(random.uniform(draws++) * below);
    this.#accepted = 0;
    let done = 0;
    let size = MIN_BATCH;
    while (done < inputs && this.#faults.length < MAX_FAULTS) {
      const batch: Uint8Array[] = [];
      for (let bytes = 0; batch.length < Math.min(size, inputs - done) && bytes < MAX_BATCH_BYTES; ) {
        batch.push(this.#make(found, draw));
        bytes += batch.at(-1)!.length;
      }
      for (const bytes of batch) await this.#probe(bytes);
      done += batch.length;
      const isNew = this.#coverage.hasNew(this.#coverage.take());
      size = isNew ? Math.max(MIN_BATCH, size >> 1) : Math.min(MAX_BATCH, size * 2);
      if (!isNew) continue;
      const accepted = this.#accepted;
      found.push(...(await this.#search(batch)));
      this.#accepted = accepted;
    }
    const reached = this.#coverage.size;
    if (keeps) await this.#keep(seeds, found.slice(seeds.length));
    return {
      inputs: done,
      accepted: this.#accepted,
      reachedBySeeds,
      reached,
      slowestMs: Math.round(this.#slowestMs),
      peakMegabytes: Math.round(process.resourceUsage().maxRSS / 1000),
      seconds: secondsSince(begin),
      faults: this.#faults,
    };
  }

  /** Those of some inputs that reach something new: each half runs again alone, until one input is left. */
  async #search(batch: readonly Uint8Array[]): Promise<Uint8Array[]> {
    for (const bytes of batch) await this.#probe(bytes);
    const run = this.#coverage.take();
    if (!this.#coverage.hasNew(run)) return []; // it was reached in the other half
    if (batch.length === 1) {
      this.#coverage.add(run);
      return [...batch];
    }
    const middle = batch.length >> 1;
    return [...(await this.#search(batch.slice(0, middle))), ...(await this.#search(batch.slice(middle)))];
  }

  /** An input that was found, the later the likelier, with some edits. */
  #make(found: readonly Uint8Array[], draw: (below: number) => number): Uint8Array {
    const from = draw(2) === 0 ? draw(found.length) : found.length - 1 - draw(Math.min(found.length, 10));
    const edits = Array.from({ length: 1 + draw(1 + draw(MAX_EDITS)) }, (): Edit => {
      const length = draw(3) === 0 ? draw(600) : draw(16);
      return { kind: editKinds[draw(editKinds.length)]!, at: draw(65_536) / 65_536, length, value: draw(65_536) };
    });
    const bytes = mutate(found[from]!, edits, found);
    return this.#target.repair && draw(2) === 0 ? this.#target.repair(bytes) : bytes;
  }

  async #probe(bytes: Uint8Array): Promise<void> {
    writeSync(this.#current, bytes, 0, bytes.length, 0);
    ftruncateSync(this.#current, bytes.length);
    const begin = performance.now();
    Atomics.store(this.#started, 0, BigInt(Date.now()));
    try {
      if ((await probe(this.#target, bytes)) === "accepted") this.#accepted++;
    } catch (error) {
      await this.#report(bytes, error);
    }
    this.#slowestMs = Math.max(this.#slowestMs, performance.now() - begin);
  }

  /** Runs an input again, for the stack of what it throws. What was slow only once waited for other programs. */
  async #report(bytes: Uint8Array, error: unknown): Promise<void> {
    if (this.#faults.length >= MAX_FAULTS) return;
    Error.stackTraceLimit = 10;
    const again: unknown = await probe(this.#target, bytes).then(
      () => undefined,
      (error: unknown) => error,
    );
    Error.stackTraceLimit = 0;
    if (error instanceof TooSlow && again === undefined) return;
    const file = join(this.#folder, `fault-${this.#faults.length}`);
    writeFileSync(file, bytes);
    const shown = again ?? error;
    const stack = shown instanceof Error ? (shown.stack ?? shown.message) : String(shown);
    this.#faults.push(`${file}: ${stack.split("\n").slice(0, 4).join(" ").slice(0, 1000)}`);
  }

  /** Adds what ran since the last look; whether some of it is new. */
  #note(): boolean {
    return this.#coverage.add(this.#coverage.take());
  }

  /** Writes the smallest of the inputs that together reach as much as fits. */
  async #keep(seeds: readonly Uint8Array[], found: readonly Uint8Array[]): Promise<void> {
    this.#coverage.forget();
    for (const bytes of seeds) await this.#probe(bytes);
    this.#note();
    const folder = join(corpusRoot, this.#target.name);
    let size = 0;
    for (const bytes of [...found].sort((a, b) => a.length - b.length)) {
      if (size + bytes.length > KEPT_BYTES) break;
      await this.#probe(bytes);
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

Error.stackTraceLimit = 0; // nearly every input ends in an error, and a stack takes as long as the parser
const [name, inputs, seed, folder, flag] = process.argv.slice(2);
const target = targets.find((one) => one.name === name);
if (!target || folder === undefined) throw new Error("usage: guided.ts TARGET INPUTS SEED FOLDER [--keep]");
const result = await new Guided(target, folder).run(Number(inputs), Number(seed), flag === "--keep");
console.log(JSON.stringify(result));
process.exit(0); // threads of a target may still live
