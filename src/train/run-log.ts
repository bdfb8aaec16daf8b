// The files of a run with a line per step: log.jsonl and samples/numbers.jsonl. A killed process or a full disk
// may cut the last line. On resume, lines after the last checkpoint are removed, since those steps repeat.

import { appendFile, lstat, readFile } from "node:fs/promises";
import * as z from "zod";
import { ModelError } from "../errors.ts";
import { replaceFile, writeAll } from "../output/atomic-file.ts";
import { whileWriting } from "../output/while-writing.ts";

/** A number that is not finite is null in JSON. */
const entrySchema = z.object({ step: z.int().min(0) }).catchall(z.number().nullable());

/** One line: the step, and numbers by name. */
export type RunLogEntry = z.infer<typeof entrySchema>;

/** A million long lines. */
const MAX_BYTES = 400_000_000;

/** The entries of a file in order; none if there is no file. Incomplete or invalid lines are skipped. */
export async function readRunLog(path: string): Promise<RunLogEntry[]> {
  return (await readLines(path)).flatMap(({ entry }) => (entry ? [entry] : []));
}

/** Atomically truncates a file to the entries of the first `step` steps; returns how many lines were removed. */
export async function cutRunLog(path: string, step: number): Promise<number> {
  const lines = await readLines(path);
  const kept = lines.filter(({ entry }) => entry && entry.step <= step);
  const text = kept.map((line) => `${line.text}\n`).join("");
  if (kept.length < lines.length)
    await whileWriting(path, () => replaceFile(path, (file) => writeAll(file, new TextEncoder().encode(text))));
  return lines.length - kept.length;
}

export async function appendRunLog(path: string, entry: Readonly<Record<string, number>>): Promise<void> {
  await whileWriting(path, () => appendFile(path, `${JSON.stringify(entry)}\n`));
}

async function readLines(path: string): Promise<{ readonly text: string; readonly entry: RunLogEntry | undefined }[]> {
  const info = await lstat(path).catch(() => undefined);
  if (!info) return [];
  // Reading a pipe would block, and writing would replace a user's link.
  if (!info.isFile()) throw new ModelError(`${path}: expected a file, found something else. Move it away`);
  if (info.size > MAX_BYTES)
    throw new ModelError(`${path} has ${info.size} bytes, at most ${MAX_BYTES} are read. Move it away`);
  const lines = (await readFile(path, "utf8")).split("\n");
  // After the last newline there is nothing, or an incomplete line: even if it parses, it may lack digits.
  const cut = lines.pop();
  return [
    ...lines.map((text) => ({ text, entry: parseEntry(text) })),
    ...(cut ? [{ text: cut, entry: undefined }] : []),
  ];
}

function parseEntry(text: string): RunLogEntry | undefined {
  try {
    return entrySchema.safeParse(JSON.parse(text)).data;
  } catch {
    return undefined;
  }
}
