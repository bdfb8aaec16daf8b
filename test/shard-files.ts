// For tests: shards of small images with known contents, some of them bad.

import { mkdir, writeFile } from "node:fs/promises";
import { dirname, join } from "node:path";
import { TarWriter } from "../src/corpus/tar-writer.ts";
import { encodePng } from "../src/image/codec.node.ts";
import type { WritableFile } from "../src/output/atomic-file.ts";
import { counterRandom } from "../src/random/counter.ts";

/** A PNG of 24 x 24 pixels in a few colours, another for each number. */
export function smallImage(number: number): Promise<Uint8Array> {
  const random = counterRandom(number, "small image");
  const [a, b] = [0, 3].map((at) => [0, 1, 2].map((channel) => random.integer(at + channel, 256))) as [
    number[],
    number[],
  ];
  const data = new Uint8Array(24 * 24 * 3);
  for (let y = 0; y < 24; y++)
    for (let x = 0; x < 24; x++) data.set((x + number) % 8 < 4 === y % 12 < 6 ? a : b, 3 * (24 * y + x));
  return encodePng({ width: 24, height: 24, data });
}

/** A tar of these members. */
export async function tarOf(members: Readonly<Record<string, Uint8Array>>): Promise<Uint8Array> {
  const pieces: Uint8Array[] = [];
  const file: WritableFile = {
    async write(bytes, offset, length) {
      pieces.push(bytes.slice(offset, offset + length));
      return { bytesWritten: length };
    },
  };
  const tar = new TarWriter(file);
  for (const [name, bytes] of Object.entries(members)) await tar.add(name, bytes);
  await tar.end();
  return Buffer.concat(pieces);
}

/** Writes a shard of `count` images from number `first` on, and returns its path. */
export async function writeShard(path: string, count: number, first = 0): Promise<string> {
  const members: Record<string, Uint8Array> = {};
  for (let i = 0; i < count; i++) members[`${`${first + i}`.padStart(5, "0")}.png`] = await smallImage(first + i);
  await mkdir(dirname(path), { recursive: true });
  await writeFile(path, await tarOf(members));
  return path;
}

/** Writes shards 000.tar, 001.tar, .. with `each` images into a folder. */
export async function writeShards(folder: string, shards: number, each: number): Promise<string> {
  for (let s = 0; s < shards; s++) await writeShard(join(folder, `${`${s}`.padStart(3, "0")}.tar`), each, s * each);
  return folder;
}
