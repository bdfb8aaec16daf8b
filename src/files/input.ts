// The bytes of what a user names for reading: a plain file, whose size is looked at before, or a pipe, which is read to its end but
// not beyond a limit. A pipe may take as long as it likes once somebody writes into it; a signal ends the waiting.

import { close, constants, fstat, open, read } from "node:fs";
import { stat } from "node:fs/promises";
import { Socket } from "node:net";
import { addAbortSignal, type Readable } from "node:stream";
import { setTimeout as sleep } from "node:timers/promises";
import { promisify } from "node:util";
import { type ErrorCode, excerpt, InputError } from "../errors.ts";
import { descriptorOf } from "./descriptor.ts";
import { NO_WAITING, OpenFile } from "./open-file.ts";
import { systemCode, systemReason } from "./system-error.ts";

export interface InputLimits {
  /** 100 MB if absent, as much as the file of an image may have. */
  readonly maxBytes?: number;
  /** Of the InputError that says why it cannot be read; `invalid_input` if absent. */
  readonly code?: ErrorCode;
  readonly signal?: AbortSignal;
}

type Limits = InputLimits & { readonly maxBytes: number; readonly code: ErrorCode };

const MAX_BYTES = 100_000_000;

/** Everything that `path` holds. Throws an InputError for what cannot be read, is no file or pipe, or is too large. */
export async function readInput(path: string, given: InputLimits = {}): Promise<Uint8Array> {
  const limits: Limits = { maxBytes: MAX_BYTES, code: "invalid_input", ...given };
  limits.signal?.throwIfAborted();
  const name = path === "/dev/stdin" ? "standard input" : excerpt(path);
  try {
    const stream = await openStream(path, name, limits);
    return stream ? await readStream(stream, name, limits) : await readFile(path, name, limits);
  } catch (error) {
    limits.signal?.throwIfAborted();
    if (error instanceof InputError) throw error;
    const reason = systemCode(error) === undefined ? "that is no file's name" : systemReason(error);
    throw new InputError(`${name}: cannot be read: ${reason}`, { code: limits.code, cause: error });
  }
}

/** Whether `path` is read as a stream, which can be done once: a descriptor or a pipe. */
export async function isStream(path: string): Promise<boolean> {
  if (descriptorOf(path) !== undefined) return true;
  return (await stat(path).catch(() => undefined))?.isFIFO() ?? false;
}

async function openStream(path: string, name: string, limits: Limits): Promise<Readable | undefined> {
  const fd = descriptorOf(path);
  if (fd === 0) return process.stdin;
  const info = fd === undefined ? await stat(path) : await promisify(fstat)(fd);
  if (info.isDirectory()) throw new InputError(`${name}: is a folder, not a file`, { code: limits.code });
  if (info.isFile()) return undefined;
  if (info.isFIFO() || info.isSocket())
    return fd === undefined ? openPipe(path, name, limits) : new Socket({ fd, readable: true, writable: false });
  throw new InputError(`${name}: is not a file`, { code: limits.code });
}

async function readStream(stream: Readable, name: string, limits: Limits): Promise<Uint8Array<ArrayBuffer>> {
  if (limits.signal) addAbortSignal(limits.signal, stream);
  const pieces: Uint8Array[] = [];
  let size = 0;
  for await (const piece of stream as AsyncIterable<Uint8Array>) {
    size += piece.length;
    refuseLarge(size, name, limits);
    pieces.push(piece);
  }
  if (size === 0) throw new InputError(`${name}: is empty`, { code: limits.code });
  return Uint8Array.from(Buffer.concat(pieces));
}

const FIRST_READ_BYTES = 65_536;

async function readFile(path: string, name: string, limits: Limits): Promise<Uint8Array<ArrayBuffer>> {
  const file = await OpenFile.open(path);
  try {
    const { size } = await file.stat();
    refuseLarge(size, name, limits);
    // The size is a hint: some files say 0 (those of /proc), others grow meanwhile.
    let bytes = new Uint8Array(Math.max(size + 1, FIRST_READ_BYTES));
    for (let done = 0; ; ) {
      const { bytesRead } = await file.read(bytes, done, bytes.length - done, done);
      done += bytesRead;
      refuseLarge(done, name, limits);
      if (bytesRead === 0) return bytes.subarray(0, done);
      limits.signal?.throwIfAborted();
      if (done < bytes.length) continue;
      const larger = new Uint8Array(2 * bytes.length);
      larger.set(bytes);
      bytes = larger;
    }
  } finally {
    await file.close();
  }
}

function refuseLarge(size: number, name: string, { maxBytes, code }: Limits): void {
  if (size <= maxBytes) return;
  throw new InputError(`${name}: has more than ${maxBytes / 1e6} MB, the most that is read`, { code });
}

/** How long a named pipe may be without a writer before it is taken for abandoned. */
const PIPE_WAIT_MS = 5000;
const PIPE_POLL_MS = 20;

/** Opens a named pipe as soon as somebody has opened it for writing: until then it is at its end, not silent. */
async function openPipe(path: string, name: string, { code, signal }: Limits): Promise<Readable> {
  const fd = await promisify(open)(path, constants.O_RDONLY | NO_WAITING);
  try {
    const first = new Uint8Array(FIRST_READ_BYTES);
    for (let waitedMs = 0; waitedMs < PIPE_WAIT_MS; waitedMs += PIPE_POLL_MS) {
      const { bytesRead } = await promisify(read)(fd, first, 0, first.length, null).catch(unlessSilent);
      if (bytesRead === 0) {
        await sleep(PIPE_POLL_MS, undefined, signal && { signal });
        continue;
      }
      const socket = new Socket({ fd, readable: true, writable: false });
      if (bytesRead > 0) socket.unshift(first.subarray(0, bytesRead));
      return socket;
    }
    throw new InputError(`${name}: nothing is writing to this pipe; start its writer first`, { code });
  } catch (error) {
    close(fd, () => undefined);
    throw error;
  }
}

function unlessSilent(error: NodeJS.ErrnoException): { readonly bytesRead: number } {
  if (error.code === "EAGAIN") return { bytesRead: -1 };
  throw error;
}
