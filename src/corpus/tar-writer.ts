// Writes a tar member by member (POSIX.1-2001: ustar, with pax headers for long names). The same members give the same bytes:
// there are no times and no owners.

import { type WritableFile, writeAll } from "../output/atomic-file.ts";

const BLOCK = 512;
/** Maximum length of a name in the plain header. */
const SHORT_NAME = 100;
/** Maximum size that fits the octal digits. */
const MAX_MEMBER_BYTES = 8 ** 11 - 1;

export class TarWriter {
  readonly #file: WritableFile;

  constructor(file: WritableFile) {
    this.#file = file;
  }

  /** Adds a plain file. */
  async add(name: string, bytes: Uint8Array): Promise<void> {
    const path = new TextEncoder().encode(name);
    if (path.length > SHORT_NAME || path.some((byte) => byte > 126)) {
      const record = paxRecord("path", name);
      await this.#member("pax", "x", record);
    }
    await this.#member(name, "0", bytes);
  }

  /** Marks the end. */
  async end(): Promise<void> {
    await writeAll(this.#file, new Uint8Array(2 * BLOCK));
  }

  async #member(name: string, kind: string, bytes: Uint8Array): Promise<void> {
    if (bytes.length > MAX_MEMBER_BYTES) throw new RangeError(`a member of ${bytes.length} bytes`);
    await writeAll(this.#file, headerOf(name, kind, bytes.length));
    await writeAll(this.#file, bytes);
    const rest = bytes.length % BLOCK;
    if (rest > 0) await writeAll(this.#file, new Uint8Array(BLOCK - rest));
  }
}

function headerOf(name: string, kind: string, size: number): Uint8Array {
  const header = new Uint8Array(BLOCK);
  const put = (text: string, at: number) => header.set(new TextEncoder().encode(text), at);
  const octal = (value: number, at: number, digits: number) => put(value.toString(8).padStart(digits, "0"), at);
  header.set(new TextEncoder().encode(name).subarray(0, SHORT_NAME), 0);
  octal(0o644, 100, 7);
  octal(0, 108, 7);
  octal(0, 116, 7);
  octal(size, 124, 11);
  octal(0, 136, 11);
  put("        ", 148);
  put(kind, 156);
  put("ustar\0" + "00", 257);
  const sum = header.reduce((total, byte) => total + byte, 0);
  put(`${sum.toString(8).padStart(6, "0")}\0 `, 148);
  return header;
}

/** "LENGTH KEY=VALUE\n", where the length counts its own digits. */
function paxRecord(key: string, value: string): Uint8Array {
  const rest = new TextEncoder().encode(` ${key}=${value}\n`);
  let length = rest.length + 1;
  while (`${length}`.length + rest.length !== length) length = `${length}`.length + rest.length;
  const record = new Uint8Array(length);
  record.set(new TextEncoder().encode(`${length}`), 0);
  record.set(rest, `${length}`.length);
  return record;
}
