// The file beside a shard's output that says what the output was made from. It is written last, so an output without one is not
// finished. It says nothing about the time or the machine, so a shard that is processed twice has the same manifest.

import * as z from "zod";
import { InputError } from "../errors.ts";
import type { Shard } from "./shard.ts";

const sha256 = z.string().regex(/^[0-9a-f]{64}$/);
const count = z.int().min(0);
const schema = z.object({
  format: z.literal("kelix-shard"),
  version: z.string(),
  task: z.string(),
  options: z.record(z.string(), z.unknown()),
  input: z.object({ name: z.string(), sha256 }),
  model: z.object({ sha256 }),
  output: z.object({ name: z.string(), bytes: count, sha256 }),
  counts: z.object({ items: count, done: count, bad: count }),
  bad: z.array(z.object({ index: count, key: z.string(), code: z.string(), reason: z.string() })),
});

export type Manifest = z.output<typeof schema>;
/** An item that could not be used. */
export type BadItem = Manifest["bad"][number];
/** What decides whether an output must be made again. */
export type Origin = Pick<Manifest, "version" | "task" | "options" | "input" | "model">;

/** More than a manifest of any plausible number of bad items. */
export const MAX_MANIFEST_BYTES = 100_000_000;

export function manifestName({ name }: Pick<Shard, "name">): string {
  return `${name}.manifest.json`;
}

export function encodeManifest(manifest: Manifest): Uint8Array {
  return new TextEncoder().encode(`${JSON.stringify(manifest, null, 2)}\n`);
}

/** Throws an InputError if the bytes are not a manifest. */
export function parseManifest(bytes: Uint8Array, name: string): Manifest {
  try {
    return schema.parse(JSON.parse(new TextDecoder("utf-8", { fatal: true }).decode(bytes)));
  } catch (cause) {
    throw new InputError(`${name}: is not the manifest of a shard`, { cause });
  }
}

/** Whether an output was made from exactly this. */
export function fits({ version, task, options, input, model }: Manifest, origin: Origin): boolean {
  const same = (a: unknown, b: unknown) => JSON.stringify(a) === JSON.stringify(b);
  const { name } = origin.input;
  return (
    same(
      [version, task, input.sha256, model.sha256],
      [origin.version, origin.task, origin.input.sha256, origin.model.sha256],
    ) &&
    input.name === name &&
    same(sorted(options), sorted(origin.options))
  );
}

function sorted(options: Readonly<Record<string, unknown>>): [string, unknown][] {
  return Object.entries(options).sort(([a], [b]) => (a < b ? -1 : 1));
}
