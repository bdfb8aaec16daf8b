// Processes one shard: input in, output and manifest out. It knows neither the queue nor other shards. What it writes depends only on
// the input, the options, the model and the version.

import { createHash } from "node:crypto";
import { mkdir, realpath, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { InputError, quote } from "../errors.ts";
import type { Kelix } from "../kelix.ts";
import { writeAll } from "../output/atomic-file.ts";
import { heartbeat, removeStale, temporaryName } from "../output/stale.ts";
import {
  type BadItem,
  encodeManifest,
  fits,
  MAX_MANIFEST_BYTES,
  manifestName,
  type Origin,
  parseManifest,
} from "./manifest.ts";
import type { Shard, ShardReport, TaskName } from "./shard.ts";
import { hashInput, openItems, type ShardItems } from "./shard-items.ts";
import { isBucket, joinLocation, storageOf } from "./storage.ts";
import type { Result, Task, TaskContext } from "./tasks/task.ts";

export interface ShardModel {
  readonly kelix: Kelix;
  /** SHA-256 of the model's files. */
  readonly hash: string;
}

export interface ShardWork {
  readonly model: ShardModel;
  /** Of Kelix. */
  readonly version: string;
  /** Stops before the next image; nothing is published then. */
  readonly signal?: AbortSignal;
  readonly onItem?: (done: number, total: number) => void;
}

// Each task knows its options and results; here they are only passed on.
type AnyTask = Task<TaskName, unknown, unknown>;
const tasks: Readonly<Record<TaskName, () => Promise<AnyTask>>> = {
  tokenize: async () => (await import("./tasks/tokenize.ts")).task as unknown as AnyTask,
  describe: async () => (await import("./tasks/describe.ts")).task as unknown as AnyTask,
  reconstruct: async () => (await import("./tasks/reconstruct.ts")).task as unknown as AnyTask,
  eval: async () => (await import("./tasks/eval.ts")).task as unknown as AnyTask,
};

/**
 * Processes a shard, unless its output exists with a matching manifest. Throws an InputError if the shard as a whole cannot be used,
 * and whatever storage and model throw. An image that cannot be used becomes an entry of the manifest.
 */
export async function runShard(shard: Shard, { model, version, signal, onItem }: ShardWork): Promise<ShardReport> {
  const task = await tasks[shard.task]();
  const scratch = new Scratch();
  let items: ShardItems | undefined;
  try {
    await refuseToReplace(shard, task.suffix);
    const path = await (await storageOf(shard.input)).fetch(shard.input, () => scratch.open(), signal);
    const origin: Origin = {
      version,
      task: shard.task,
      options: shard.options,
      input: { name: shard.name, sha256: await hashInput(path, signal) },
      model: { sha256: model.hash },
    };
    const finished = await findFinished(shard, origin, task.suffix);
    if (finished) return { isSkipped: true, ...finished };
    items = await openItems(path, signal);
    if (items.count > task.maxItems)
      throw new InputError(
        `${quote(shard.name)}: has ${items.count} images, at most ${task.maxItems} of a shard are done; split it`,
      );
    const context = { kelix: model.kelix, options: shard.options, modelHash: model.hash, signal };
    const bad: BadItem[] = [];
    const results = resultsOf(items, task, context, shard, bad, onItem);
    const output = await publishOutput(shard, task, context, results, signal);
    const counts = { items: items.count, done: items.count - bad.length, bad: bad.length };
    const manifest = encodeManifest({ format: "kelix-shard", ...origin, output, counts, bad });
    const storage = await storageOf(shard.output);
    await storage.publish(joinLocation(shard.output, manifestName(shard)), (file) => writeAll(file, manifest), signal);
    return { isSkipped: false, ...counts };
  } finally {
    await items?.close();
    await scratch.close();
  }
}

/** The counts of an existing output that was made from exactly this. */
async function findFinished(shard: Shard, origin: Origin, suffix: string) {
  const storage = await storageOf(shard.output);
  const name = manifestName(shard);
  const bytes = await storage.read(joinLocation(shard.output, name), MAX_MANIFEST_BYTES);
  if (!bytes) return undefined;
  try {
    const manifest = parseManifest(bytes, name);
    const size = await storage.sizeBytes(joinLocation(shard.output, `${shard.name}${suffix}`));
    return fits(manifest, origin) && size === manifest.output.bytes ? manifest.counts : undefined;
  } catch (error) {
    if (error instanceof InputError) return undefined; // of another program; it is replaced
    throw error;
  }
}

/** Throws an InputError if the output would replace the input. */
async function refuseToReplace({ input, output, name }: Shard, suffix: string): Promise<void> {
  const target = joinLocation(output, `${name}${suffix}`);
  const real = async (location: string) => (isBucket(location) ? location : realpath(location).catch(() => location));
  if ((await real(target)) !== (await real(input))) return;
  throw new InputError(`${quote(`${name}${suffix}`)}: the output would replace the input; name another folder for it`, {
    code: "output_refused",
  });
}

/** The items' results in order. Items that cannot be used are added to `bad`. */
async function* resultsOf(
  items: ShardItems,
  task: AnyTask,
  context: TaskContext<TaskName>,
  shard: Shard,
  bad: BadItem[],
  onItem: ShardWork["onItem"],
): AsyncGenerator<Result<unknown>> {
  const { count } = items;
  const read = (from: number) => {
    const size = Math.max(0, Math.min(task.together, count - from));
    const group = Promise.all(Array.from({ length: size }, (_, i) => attempt(() => items.read(from + i))));
    group.catch(() => undefined); // awaited later, or never
    return group;
  };
  let next = read(0);
  for (let from = 0; from < count; from += task.together) {
    const group = await next;
    next = read(from + task.together); // decoded while the model works
    const ready = [];
    for (const image of group)
      ready.push(image.isGood ? await attempt(() => task.prepare(image.value, context)) : image);
    context.signal?.throwIfAborted();
    const done = await Promise.all(
      ready.map((item, i) => {
        const seed = seedOf(shard, from + i);
        return item.isGood ? attempt(() => task.work(item.value, seed, context)) : item;
      }),
    );
    for (const [i, result] of done.entries()) {
      const index = from + i;
      const key = await items.key(index);
      if (result.isGood) yield { key, value: result.value };
      else bad.push({ index, key, code: result.error.code, reason: result.error.message });
      onItem?.(index + 1, count);
    }
  }
  if (bad.length === count)
    throw new InputError(
      count === 0
        ? `${quote(shard.name)}: holds no images`
        : `${quote(shard.name)}: none of its ${count} images can be used; the first: ${bad[0]!.reason}`,
    );
}

type Attempt<T> = { readonly isGood: true; readonly value: T } | { readonly isGood: false; readonly error: InputError };

/** An InputError is the item's fault. Any other error is the machine's or the program's, and ends the shard. */
async function attempt<T>(work: () => Promise<T>): Promise<Attempt<T>> {
  try {
    return { isGood: true, value: await work() };
  } catch (error) {
    if (error instanceof InputError) return { isGood: false, error };
    throw error;
  }
}

/** A 48-bit seed for an item, the same on every machine and in every run. */
function seedOf({ options, name }: Shard, index: number): number {
  const seed = "seed" in options ? options.seed : 0;
  return createHash("sha256").update(`${seed}\0${name}\0${index}`).digest().readUIntBE(0, 6);
}

async function publishOutput(
  shard: Shard,
  task: AnyTask,
  context: TaskContext<TaskName>,
  results: AsyncIterable<Result<unknown>>,
  signal: AbortSignal | undefined,
) {
  const name = `${shard.name}${task.suffix}`;
  const hash = createHash("sha256");
  let bytes = 0;
  const storage = await storageOf(shard.output);
  await storage.publish(
    joinLocation(shard.output, name),
    (file) =>
      task.write(
        results,
        {
          async write(piece, offset, length) {
            const { bytesWritten } = await file.write(piece, offset, length);
            hash.update(piece.subarray(offset, offset + bytesWritten));
            bytes += bytesWritten;
            return { bytesWritten };
          },
        },
        context,
      ),
    signal,
  );
  return { name, bytes, sha256: hash.digest("hex") };
}

/** A folder for copies of remote inputs, created when needed. Folders of processes that were killed are removed then. */
class Scratch {
  #path: string | undefined;
  #stop = () => {};

  async open(): Promise<string> {
    if (this.#path === undefined) {
      await removeStale(tmpdir());
      this.#path = join(tmpdir(), temporaryName("partial"));
      await mkdir(this.#path, { mode: 0o700 });
      this.#stop = heartbeat(this.#path);
    }
    return this.#path;
  }

  async close(): Promise<void> {
    this.#stop();
    if (this.#path !== undefined) await rm(this.#path, { recursive: true, force: true });
  }
}
