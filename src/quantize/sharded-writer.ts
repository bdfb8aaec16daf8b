// Writes a checkpoint piece by piece, for those that do not fit into memory: all shapes are said first, then bytes come in any
// order. A big one becomes several files with an index, named as the reference names them.

import { writeFile } from "node:fs/promises";
import { join } from "node:path";
import { OpenFile } from "../files/open-file.ts";
import { layOut, type SafetensorsLayout, type TensorShape, tensorBytes } from "./safetensors-layout.ts";

/** Of one file, as the reference writes them. */
export const MAX_SHARD_BYTES = 5 * 2 ** 30;

interface Shard {
  readonly name: string;
  readonly layout: SafetensorsLayout;
  readonly file: OpenFile;
}

export class ShardedWriter {
  readonly #folder: string;
  readonly #stem: string;
  readonly #shards: readonly Shard[];
  readonly #holders: ReadonlyMap<string, Shard>;

  private constructor(folder: string, stem: string, shards: readonly Shard[]) {
    this.#folder = folder;
    this.#stem = stem;
    this.#shards = shards;
    this.#holders = new Map(shards.flatMap((shard) => [...shard.layout.places.keys()].map((name) => [name, shard])));
  }

  /** Begins `stem`.safetensors, or its numbered shards, in `folder`. What is never written reads as zeros and takes no room. */
  static async create(
    folder: string,
    stem: string,
    tensors: ReadonlyMap<string, TensorShape>,
    options: { readonly metadata?: Readonly<Record<string, string>>; readonly maxShardBytes?: number } = {},
  ): Promise<ShardedWriter> {
    const { metadata = {}, maxShardBytes = MAX_SHARD_BYTES } = options;
    const groups = divide(tensors, maxShardBytes);
    const shards: Shard[] = [];
    try {
      for (const [i, group] of groups.entries()) {
        const name = `${stem}${groups.length === 1 ? "" : `-${number(i + 1)}-of-${number(groups.length)}`}.safetensors`;
        const layout = layOut(group, metadata, name);
        const file = await OpenFile.open(join(folder, name), "wx");
        shards.push({ name, layout, file });
        await file.truncate(layout.fileBytes);
        await file.write(layout.header, 0, layout.header.length, 0);
      }
    } catch (error) {
      await Promise.all(shards.map(({ file }) => file.close()));
      throw error;
    }
    return new ShardedWriter(folder, stem, shards);
  }

  /** Puts bytes of a tensor at `offset` bytes from its beginning. */
  async write(name: string, offset: number, { buffer, byteOffset, byteLength }: ArrayBufferView): Promise<void> {
    const { layout, file } = this.#holders.get(name)!;
    const place = layout.places.get(name)!;
    if (offset + byteLength > place.byteLength)
      throw new Error(`${name}: ${byteLength} bytes at ${offset} go beyond its end`);
    const bytes = new Uint8Array(buffer, byteOffset, byteLength);
    for (let done = 0; done < byteLength; ) {
      done += (await file.write(bytes, done, byteLength - done, place.byteOffset + offset + done)).bytesWritten;
    }
  }

  /** Flushes everything to the disk, and writes the index where there are several files. */
  async finish(): Promise<void> {
    for (const { file } of this.#shards) await file.sync();
    await this.close();
    if (this.#shards.length === 1) return;
    const index = {
      metadata: {
        total_size: this.#shards.reduce((sum, { layout }) => sum + layout.fileBytes - layout.header.length, 0),
      },
      weight_map: Object.fromEntries([...this.#holders].map(([name, shard]) => [name, shard.name])),
    };
    await writeFile(join(this.#folder, `${this.#stem}.safetensors.index.json`), `${JSON.stringify(index, null, 2)}\n`, {
      flush: true,
    });
  }

  /** Closes the files without finishing them. */
  async close(): Promise<void> {
    await Promise.all(this.#shards.map(({ file }) => file.close()));
  }
}

function number(i: number): string {
  return String(i).padStart(5, "0");
}

/** Tensors by name, as many to a group as fit; one that is larger than the limit has a group of its own. */
function divide(tensors: ReadonlyMap<string, TensorShape>, maxBytes: number): (readonly [string, TensorShape])[][] {
  const groups: (readonly [string, TensorShape])[][] = [];
  let room = 0;
  for (const name of [...tensors.keys()].sort()) {
    const tensor = tensors.get(name)!;
    const bytes = tensorBytes(tensor);
    if (groups.length === 0 || bytes > room) {
      groups.push([]);
      room = maxBytes;
    }
    groups.at(-1)!.push([name, tensor]);
    room -= bytes;
  }
  return groups;
}
