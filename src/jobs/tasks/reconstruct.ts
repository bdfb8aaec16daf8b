// reconstruct: each image decoded from its codes alone, as a PNG under the same key in a tar. Takes images and files of codes.

import { TarWriter } from "../../corpus/tar-writer.ts";
import { encodePng } from "../../image/codec.node.ts";
import type { ShardImage } from "../shard-items.ts";
import type { Task } from "./task.ts";

export const task: Task<"reconstruct", ShardImage, Uint8Array> = {
  suffix: ".tar",
  together: 1,
  maxItems: 50_000_000,
  prepare: async (image) => image,
  work: async (image, seed, { kelix, options, signal }) =>
    encodePng(await kelix.reconstruct(image, { ...options, seed, signal })),
  async write(results, file) {
    const tar = new TarWriter(file);
    for await (const { key, value } of results) await tar.add(`${memberName(key)}.png`, value);
    await tar.end();
  },
};

/** A key as the name of a member. It comes from an untrusted file, and must not lead out of the folder in which the tar is unpacked. */
function memberName(key: string): string {
  return (
    key
      .replace(/\.(png|jpe?g|webp)$/i, "")
      .split(/[/\\]/)
      .map((part) => (/^\.*$/.test(part) ? "_" : part))
      .join("/")
      // biome-ignore lint/suspicious/noControlCharactersInRegex: these are what is replaced
      .replace(/[\u0000-\u001f\u007f:]/g, "_")
  );
}
