// Writes a checkpoint piece by piece, for those larger than memory: all shapes are given first, then bytes in any
// order. A big one becomes several files with an index, named as in the reference.

import { writeFile } from "node:fs/promises";
import { join } from "node:path";
import { OpenFile } from "../files/open-file.ts";
import { layOut, type SafetensorsLayout, type TensorShape, tensorBytes } from "./safetensors-layout.ts";

/** Maximum bytes of a file, as in the reference. */
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

  /** Starts `stem`.safetensors, or its numbered shards, in `folder`. Ranges never written read as zeros and take no space. */
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

  /** Writes bytes of a tensor at `offset` bytes from its start. */
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

  /** Flushes everything to disk, and writes the index if there are several files. */
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

/** Groups tensors by name within the limit; a larger tensor gets its own group. */
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
