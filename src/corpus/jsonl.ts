// Rows of JSON Lines: one pass indexes the lines, and a line is read when it is drawn. Images are paths below the file's
// folder, or data URLs.

import { basename, dirname } from "node:path";
import { parseJson } from "../checkpoint/strict-json.ts";
import { InputError, quote } from "../errors.ts";
import { OpenFile } from "../files/open-file.ts";
import { systemReason } from "../files/system-error.ts";
import { DataFolder } from "./data-folder.ts";
import type { DataSource, Example } from "./example.ts";
import { GrowingNumbers } from "./growing-numbers.ts";
import { type IndexedFile, joinFiles } from "./joined-files.ts";
import { readRow } from "./row.ts";

/** A row with some images as data URLs. */
const MAX_LINE_BYTES = 64_000_000;
/** Eight bytes of memory each. */
const MAX_LINES = 50_000_000;
const BLOCK_BYTES = 1 << 20;

interface Lines extends IndexedFile {
  readonly name: string;
  /** The folder of its images. */
  readonly folder: DataFolder;
  /** For each non-blank line: its start, end and number from 1. */
  readonly starts: GrowingNumbers;
  readonly ends: GrowingNumbers;
  readonly numbers: GrowingNumbers;
}

/** Files of rows as one source, in the given order. Throws an InputError if one cannot be read or has too long a line. */
export async function openJsonLines(paths: readonly string[], signal?: AbortSignal): Promise<DataSource> {
  const files = await joinFiles(paths, (path, hash) => indexLines(path, hash, signal), "has no rows");
  return {
    format: paths.length === 1 ? `rows of ${basename(paths[0]!)}` : `rows of ${paths.length} files of JSON Lines`,
    count: files.count,
    fingerprint: files.fingerprint,
    read: (index) => readLine(...files.find(index)),
    async key(index) {
      const [{ name, numbers }, row] = files.find(index);
      return keyIn(paths.length > 1 ? name : undefined, numbers.at(row));
    },
    close: files.close,
  };
}

async function readLine(lines: Lines, row: number): Promise<Example> {
  const [start, end] = [lines.starts.at(row), lines.ends.at(row)];
  const where = `${lines.name}, line ${lines.numbers.at(row)}`;
  const bytes = await readExactly(lines.file, start, end - start, where);
  return readRow(parseRow(bytes, where), { where, image: (value) => lines.folder.image(value) });
}

/** The file name and number of a row. */
export function keyIn(file: string | undefined, number: number): string {
  return file === undefined ? `${number}` : `${file}:${number}`;
}

/** JSON of a row. Throws an InputError that starts with `where`. */
export function parseRow(bytes: Uint8Array, where: string): unknown {
  try {
    return parseJson(bytes, `${where}:`);
  } catch (cause) {
    throw new InputError((cause as Error).message, { cause });
  }
}

/** The methods used of an open file. */
export interface Readable extends Pick<OpenFile, "read"> {
  stat(): Promise<{ readonly size: number }>;
}

/** Throws an InputError if the file ends earlier: it has changed since it was indexed. */
export async function readExactly(file: Readable, start: number, length: number, where: string): Promise<Uint8Array> {
  const bytes = new Uint8Array(length);
  for (let done = 0; done < length; ) {
    const { bytesRead } = await file.read(bytes, done, length - done, start + done);
    if (bytesRead === 0) throw new InputError(`${where}: the file has become shorter since it was opened`);
    done += bytesRead;
  }
  return bytes;
}

async function indexLines(
  path: string,
  hash: { update(bytes: Uint8Array): unknown },
  signal?: AbortSignal,
): Promise<Lines> {
  const name = basename(path);
  const file = await openPlainFile(path);
  const index = { starts: new GrowingNumbers(), ends: new GrowingNumbers(), numbers: new GrowingNumbers() };
  const block = new Uint8Array(BLOCK_BYTES);
  let [start, line, isBlank] = [0, 1, true];
  const finish = (end: number) => {
    if (end - start > MAX_LINE_BYTES)
      throw new InputError(
        `${name}, line ${line}: has more than ${MAX_LINE_BYTES / 1e6} MB, the most that a row may have`,
      );
    if (!isBlank) {
      if (index.starts.length === MAX_LINES)
        throw new InputError(`${name}: has more than ${MAX_LINES / 1e6} million rows; split it`);
      index.starts.push(start);
      index.ends.push(end);
      index.numbers.push(line);
    }
    line++;
    isBlank = true;
  };
  try {
    for (let done = 0; ; ) {
      signal?.throwIfAborted();
      const { bytesRead } = await file.read(block, 0, block.length, done);
      if (bytesRead === 0) {
        finish(done);
        return { name, file, folder: await DataFolder.open(dirname(path)), count: index.starts.length, ...index };
      }
      hash.update(block.subarray(0, bytesRead));
      if (done === 0 && block[0] === 0xef && block[1] === 0xbb && block[2] === 0xbf) start = 3; // a byte order mark
      for (let i = done === 0 ? start : 0; i < bytesRead; i++) {
        const byte = block[i]!;
        if (byte === 10) {
          finish(done + i);
          start = done + i + 1;
        } else if (isBlank && byte > 32) isBlank = false;
      }
      done += bytesRead;
      if (done - start > MAX_LINE_BYTES) finish(done);
    }
  } catch (error) {
    await file.close();
    throw error;
  }
}

/** Opens a data file. Throws an InputError unless it is a readable plain file. */
export async function openPlainFile(path: string): Promise<OpenFile> {
  const file = await OpenFile.open(path).catch((cause: unknown) => {
    throw new InputError(`${quote(path)}: cannot be read: ${systemReason(cause)}`, { cause });
  });
  if ((await file.stat()).isFile()) return file;
  await file.close();
  throw new InputError(`${quote(path)}: is not a plain file; data is read more than once, which a pipe does not allow`);
}
