// A data folder. Rows refer to images below it; nothing outside it is ever opened.

import { realpath, stat } from "node:fs/promises";
import { basename, isAbsolute, join, sep, win32 } from "node:path";
import { InputError, quote } from "../errors.ts";
import { readInput } from "../files/input.ts";
import { systemReason } from "../files/system-error.ts";
import { decodeImage } from "../image/codec.node.ts";
import { MAX_FILE_BYTES } from "../image/image-format.ts";
import type { StoredImage } from "./example.ts";

export class DataFolder {
  readonly #root: string;

  private constructor(root: string) {
    this.#root = root;
  }

  static async open(path: string): Promise<DataFolder> {
    return new DataFolder(await realpath(path));
  }

  /** The image of a row's field. Throws an InputError for anything that cannot be an image; files are opened when read. */
  image(value: unknown): StoredImage {
    if (value instanceof Uint8Array) return imageOfBytes(value, "image");
    if (typeof value === "string") return this.#imageOfText(value);
    // How the Python library `datasets` stores images in Parquet.
    const { bytes, path } = (value ?? {}) as { bytes?: unknown; path?: unknown };
    if (bytes instanceof Uint8Array) return imageOfBytes(bytes, typeof path === "string" ? basename(path) : "image");
    if (typeof path === "string") return this.#imageOfText(path);
    throw new InputError(`image: expected a path, a data URL or bytes, got ${quote(value)}`, { code: "invalid_image" });
  }

  #imageOfText(value: string): StoredImage {
    const data = /^data:image\/[\w.+-]+;base64,/i.exec(value);
    if (data) return imageOfBytes(Buffer.from(value.slice(data[0].length), "base64"), "data URL");
    if (/^[a-z][a-z\d+.-]+:/i.test(value) && !win32.isAbsolute(value))
      throw refuse(value, "only paths below the data's folder and data URLs in base64 are read; fetch it first");
    if (value.length >= 64 && /^(iVBORw0KGgo|\/9j\/|UklGR)[\w+/=\s]*$/.test(value.slice(0, 1000)))
      return imageOfBytes(Buffer.from(value, "base64"), "base64 image");
    if (value === "" || value.includes("\0") || value.length > 4096) throw refuse(value, "that is no file's name");
    if (isAbsolute(value) || win32.isAbsolute(value) || value.split(/[/\\]/).includes(".."))
      throw refuse(value, "it must be a path below the data's folder");
    return {
      name: value,
      read: async () => decodeImage(await this.#readFile(value), value),
    };
  }

  async #readFile(name: string): Promise<Uint8Array> {
    let path: string;
    try {
      path = await realpath(join(this.#root, name));
      if (!(await stat(path)).isFile()) throw refuse(name, "it is not a file");
    } catch (error) {
      if (error instanceof InputError) throw error;
      throw refuse(name, systemReason(error), error);
    }
    if (!path.startsWith(this.#root.endsWith(sep) ? this.#root : this.#root + sep))
      throw refuse(name, "a link leads out of the data's folder");
    return readInput(path, { maxBytes: MAX_FILE_BYTES, code: "invalid_image" });
  }
}

function imageOfBytes(bytes: Uint8Array, name: string): StoredImage {
  if (bytes.length > MAX_FILE_BYTES) throw refuse(name, `it has more than ${MAX_FILE_BYTES / 1e6} MB`);
  return { name, read: () => decodeImage(bytes, name) };
}

function refuse(name: string, why: string, cause?: unknown): InputError {
  return new InputError(`image ${quote(name)}: ${why}`, { code: "invalid_image", cause });
}
