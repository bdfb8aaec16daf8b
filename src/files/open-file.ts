// An open file as a plain descriptor. Node's own FileHandle must be closed by hand: when the garbage collector finds one first,
// Node 26 ends the process. A file of this class that is never closed wastes a descriptor until it is collected.

import {
  type BigIntStats,
  close,
  constants,
  fstat,
  fsync,
  ftruncate,
  futimes,
  open,
  read,
  type Stats,
  write,
} from "node:fs";
import { promisify } from "node:util";
import { KelixError } from "../errors.ts";

const calls = {
  close: promisify(close),
  fstat: promisify(fstat),
  fsync: promisify(fsync),
  ftruncate: promisify(ftruncate),
  futimes: promisify(futimes),
  open: promisify(open),
  read: promisify(read),
  write: promisify(write),
};

/** Without it, opening a pipe waits until somebody opens its other end. Windows has neither. */
export const NO_WAITING = constants.O_NONBLOCK ?? 0;

const forgotten = new FinalizationRegistry((fd: number) => close(fd, () => undefined));

export class OpenFile {
  readonly #fd: number;
  readonly #pending = new Set<Promise<unknown>>();
  #closed: Promise<void> | undefined;

  private constructor(fd: number) {
    this.#fd = fd;
    forgotten.register(this, fd, this);
  }

  static async open(path: string, flags: string | number = constants.O_RDONLY | NO_WAITING): Promise<OpenFile> {
    return new OpenFile(await calls.open(path, flags));
  }

  /** Resolves with how many bytes came, which may be fewer than asked for. */
  read(bytes: Uint8Array, offset: number, length: number, position: number): Promise<{ bytesRead: number }> {
    return this.#run((fd) => calls.read(fd, bytes, offset, length, position));
  }

  /** Writes at a position, or on from the last write; resolves with how many bytes went. */
  write(bytes: Uint8Array, offset = 0, length?: number, position?: number): Promise<{ bytesWritten: number }> {
    return this.#run((fd) => calls.write(fd, bytes, offset, length ?? bytes.length - offset, position ?? null));
  }

  stat(): Promise<Stats> {
    return this.#run((fd) => calls.fstat(fd));
  }

  /** Facts with times in nanoseconds. */
  statBig(): Promise<BigIntStats> {
    return this.#run((fd) => calls.fstat(fd, { bigint: true }));
  }

  utimes(accessed: Date, modified: Date): Promise<void> {
    return this.#run((fd) => calls.futimes(fd, accessed, modified));
  }

  truncate(bytes: number): Promise<void> {
    return this.#run((fd) => calls.ftruncate(fd, bytes));
  }

  sync(): Promise<void> {
    return this.#run((fd) => calls.fsync(fd));
  }

  /** Closes it after the calls that are under way. Safe to call twice. */
  close(): Promise<void> {
    this.#closed ??= this.#close();
    return this.#closed;
  }

  async #close(): Promise<void> {
    forgotten.unregister(this);
    // Another file may get the number while a thread still reads from it.
    await Promise.allSettled(this.#pending);
    await calls.close(this.#fd);
  }

  async #run<T>(call: (fd: number) => Promise<T>): Promise<T> {
    if (this.#closed) throw new KelixError("This file has been closed", { code: "disposed" });
    const work = call(this.#fd);
    this.#pending.add(work);
    try {
      return await work;
    } finally {
      this.#pending.delete(work); // by which this object, and so the descriptor, lives until then
    }
  }
}
