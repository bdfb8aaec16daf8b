// Where a user wants output to go. A plain file appears whole or not at all, under the name that links lead to; pipes, devices and
// descriptors are written into, never replaced. What makes a name unusable is found before any work, and output never replaces an
// input, whatever the two are called: files are compared, not names.

import { type BigIntStats, constants, fstat, open, write } from "node:fs";
import { access, readlink, realpath, stat } from "node:fs/promises";
import { Socket } from "node:net";
import { dirname, resolve } from "node:path";
import type { Writable } from "node:stream";
import { setTimeout as sleep } from "node:timers/promises";
import { fileURLToPath } from "node:url";
import { promisify } from "node:util";
import { InputError, quote } from "../errors.ts";
import { descriptorOf } from "../files/descriptor.ts";
import { NO_WAITING, OpenFile } from "../files/open-file.ts";
import { systemCode, systemReason } from "../files/system-error.ts";
import { replaceFile, type WritableFile, writeAll } from "./atomic-file.ts";
import { whileWriting } from "./while-writing.ts";

export interface OutputOptions {
  /** What is read to make the output: paths, `file:` URLs and standard input count, other addresses do not. */
  readonly inputs?: readonly (string | URL)[];
  readonly signal?: AbortSignal;
}

export type Writer = (file: WritableFile) => Promise<void>;

export interface Output {
  /** As the user called it. */
  readonly name: string;
  /** Whether it is an ordinary file, or shall be one. A pipe or a device takes one thing only. */
  readonly isFile: boolean;
  /** Throws an InputError when one of these is the same file. */
  refuseToReplace(inputs: readonly (string | URL)[]): Promise<void>;
  /** Writes these bytes, or what the function puts into the file. */
  write(content: Uint8Array | Writer): Promise<void>;
  /** Lets go of a pipe that is not written after all. */
  close(): Promise<void>;
}

/** Finds out whether `name` can be written, and opens it if it is a pipe; throws an InputError that says why not. */
export async function openOutput(name: string, { inputs = [], signal }: OutputOptions = {}): Promise<Output> {
  if (name === "" || name.includes("\0")) throw refusal(name, "that is no file's name");
  const target = await findTarget(name).catch((error: unknown) => {
    throw systemCode(error) === undefined ? error : refusal(name, systemReason(error), error);
  });
  const { info } = target;
  await refuseSame(name, info, inputs);
  const output = (isFile: boolean, put: (write: Writer) => Promise<void>, close = async () => {}): Output => ({
    name,
    isFile,
    refuseToReplace: (more) => refuseSame(name, info, more),
    write: (content) => whileWriting(name, () => put(toWriter(content))),
    close,
  });
  if (target.fd === 1 || target.fd === 2) {
    const stream = target.fd === 1 ? process.stdout : process.stderr;
    return output(false, (write) => write(intoStream(stream)));
  }
  if (info?.isFIFO() || info?.isSocket()) {
    const fd = target.fd ?? (await openPipe(name, target.path, signal));
    const socket = new Socket({ fd, readable: false, writable: true });
    socket.on("error", () => undefined); // the write that fails says so too
    const put = async (write: Writer) => {
      await write(intoStream(socket));
      await new Promise<void>((done) => socket.end(done));
    };
    return output(false, put, async () => {
      socket.destroy();
    });
  }
  if (target.fd !== undefined) {
    const { fd } = target;
    return output(false, (write) => write(intoDescriptor(fd)));
  }
  if (info?.isCharacterDevice()) {
    const file = await OpenFile.open(target.path, constants.O_WRONLY).catch((error: unknown) => {
      throw refusal(name, systemReason(error), error);
    });
    const close = () => file.close();
    return output(false, (write) => write(file).finally(close), close);
  }
  await checkPlain(name, target);
  const mode = info && Number(info.mode & 0o7777n);
  return output(true, (write) => replaceFile(target.path, write, mode));
}

/** Content as what puts it into a file. */
export function toWriter(content: Uint8Array | Writer): Writer {
  return typeof content === "function" ? content : (file) => writeAll(file, content);
}

interface Target {
  /** Where links lead to. */
  readonly path: string;
  readonly fd?: number;
  /** Undefined where there is nothing yet. */
  readonly info: BigIntStats | undefined;
}

const MAX_LINKS = 40;

async function findTarget(name: string): Promise<Target> {
  let path = resolve(name);
  for (let links = 0; links < MAX_LINKS; links++) {
    const fd = descriptorOf(path);
    if (fd !== undefined) return { path, fd, info: await statDescriptor(fd) };
    const link = await readlink(path).catch(() => undefined);
    // The folder's own links come first, or `..` would be read as if there were none.
    if (link !== undefined) path = resolve(await realpath(dirname(path)), link);
    else return { path, info: await stat(path, { bigint: true }).catch(unlessAbsent) };
  }
  return { path, info: await stat(path, { bigint: true }) }; // a circle, of which the system will say so
}

const openDescriptor = promisify(open);
const writeDescriptor = promisify(write);
const statDescriptor = (fd: number) => promisify(fstat)(fd, { bigint: true });

function unlessAbsent(error: NodeJS.ErrnoException): undefined {
  if (error.code === "ENOENT") return undefined;
  throw error;
}

/** Throws when a plain file cannot be written there. */
async function checkPlain(name: string, { path, info }: Target): Promise<void> {
  if (info?.isDirectory() || /[/\\]$/.test(name)) throw refusal(name, "that is a folder, not a file in it");
  if (info && !info.isFile()) throw refusal(name, "that is no plain file");
  const folder = dirname(path);
  const folderInfo = await stat(folder).catch(unlessAbsent);
  if (!folderInfo) throw refusal(name, `there is no folder ${quote(dirname(name))}; make it first`);
  try {
    if (info) await access(path, constants.W_OK);
    await access(folder, constants.W_OK | constants.X_OK);
  } catch (error) {
    throw refusal(name, systemReason(error), error);
  }
}

/** How long the other end of a pipe may take to appear. */
const PIPE_WAIT_MS = 10_000;
const PIPE_POLL_MS = 50;

/** Opens a named pipe as soon as somebody reads from it. */
async function openPipe(name: string, path: string, signal: AbortSignal | undefined): Promise<number> {
  for (let waitedMs = 0; ; waitedMs += PIPE_POLL_MS) {
    try {
      return await openDescriptor(path, constants.O_WRONLY | NO_WAITING);
    } catch (error) {
      if (systemCode(error) !== "ENXIO") throw refusal(name, systemReason(error), error);
      if (waitedMs >= PIPE_WAIT_MS) throw refusal(name, "nobody reads from this pipe; start its reader first", error);
      signal?.throwIfAborted();
      await sleep(PIPE_POLL_MS);
    }
  }
}

function intoDescriptor(fd: number): WritableFile {
  return { write: (bytes, offset, length) => writeDescriptor(fd, bytes, offset, length, null) };
}

function intoStream(stream: Writable): WritableFile {
  return {
    write: (bytes, offset, length) =>
      new Promise((resolve, reject) => {
        stream.write(bytes.subarray(offset, offset + length), (error) => {
          if (error) reject(error);
          else resolve({ bytesWritten: length });
        });
      }),
  };
}

async function refuseSame(
  name: string,
  info: BigIntStats | undefined,
  inputs: readonly (string | URL)[],
): Promise<void> {
  if (!info || !hasContent(info)) return;
  for (const input of inputs) {
    const other = await statInput(input).catch(() => undefined); // reading it will say what is wrong
    if (other && hasContent(other) && other.dev === info.dev && other.ino === info.ino)
      throw refusal(name, `that is the same file as ${quote(String(input))}, which is read; name another`);
  }
}

/** A device, such as the terminal, may well be both. */
function hasContent(info: BigIntStats): boolean {
  return info.isFile() || info.isFIFO();
}

async function statInput(input: string | URL): Promise<BigIntStats | undefined> {
  if (/^(https?|data):/i.test(String(input))) return undefined;
  const path = /^file:/i.test(String(input)) ? fileURLToPath(input) : String(input);
  const fd = descriptorOf(path);
  return fd === undefined ? stat(path, { bigint: true }) : statDescriptor(fd);
}

function refusal(name: string, why: string, cause?: unknown): InputError {
  return new InputError(`${quote(name)} cannot be written: ${why}`, { code: "output_refused", cause });
}
