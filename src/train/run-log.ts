// The files of a run that have a line per step: log.jsonl and samples/numbers.jsonl. A process that is killed, or a disk that is
// full, may cut the last line; what was written after the last checkpoint is cut off when the run goes on, since it comes again.

import { appendFile, lstat, readFile } from "node:fs/promises";
import * as z from "zod";
import { ModelError } from "../errors.ts";
import { replaceFile, writeAll } from "../files/atomic-file.ts";
import { whileWriting } from "../files/system-error.ts";

/** A number that is not finite is null in JSON. */
const entrySchema = z.object({ step: z.int().min(0) }).catchall(z.number().nullable());

/** One line: the step, and numbers by name. */
export type RunLogEntry = z.infer<typeof entrySchema>;

/** A million long lines. */
const MAX_BYTES = 400_000_000;

/** The entries of a file in their order; none where there is no file. Lines that are cut or not entries are passed over. */
export async function readRunLog(path: string): Promise<RunLogEntry[]> {
  return (await readLines(path)).flatMap(({ entry }) => (entry ? [entry] : []));
}

/** Cuts a file back to the entries of the first `step` steps, at once or not at all; returns how many lines went. */
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
  // A pipe would be waited for; a link is somebody's wish, and writing would replace it.
  if (!info.isFile()) throw new ModelError(`${path}: expected a file, found something else. Move it away`);
  if (info.size > MAX_BYTES)
    throw new ModelError(`${path} has ${info.size} bytes, at most ${MAX_BYTES} are read. Move it away`);
  const lines = (await readFile(path, "utf8")).split("\n");
  // What follows the last line's end is nothing, or a line that was cut: even if it can be read it may lack digits.
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
