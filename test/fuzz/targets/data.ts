// Training data: rows, tars, Parquet.

import { mkdtempSync, readFileSync, rmSync } from "node:fs";
import { readFile, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { DataFolder } from "../../../src/corpus/data-folder.ts";
import { imagesOf } from "../../../src/corpus/example.ts";
import { parseRow } from "../../../src/corpus/jsonl.ts";
import { openData } from "../../../src/corpus/open.ts";
import { readRow } from "../../../src/corpus/row.ts";
import { tarMembers } from "../../../src/corpus/tar-index.ts";
import { type Target, utf8 } from "../target.ts";

const png = readFileSync("test/images/alpha.png", "base64");

const rows = [
  { image: "a/b.png", caption: "all red" },
  { image: `data:image/png;base64,${png}`, question: "What colour?", answer: "blue" },
  {
    messages: [
      { role: "system", content: "Be brief." },
      { role: "user", content: [{ type: "image", image: "x" }, { type: "text", text: "What?" }, "and"] },
      {
        role: "assistant",
        content: [
          { type: "image_gen", image_gen: "y" },
          { type: "text", text: "this" },
        ],
      },
    ],
    images: { x: png, y: { bytes: null, path: "c.png" } },
  },
  { segments: '[{"type":"text","text":"once"},{"type":"image"}]', images: '["a.png"]' },
  { text: "only words" },
].map((row) => JSON.stringify(row));

export const dataTargets: readonly Target[] = [
  {
    name: "data-row",
    kind: "memory",
    seeds: async () => rows.map(utf8),
    async run(bytes) {
      folder ??= await DataFolder.open(tmpdir());
      const where = "rows.jsonl, line 1";
      imagesOf(readRow(parseRow(bytes, where), { where, image: (value) => folder!.image(value) }));
    },
  },
  {
    name: "tar-members",
    kind: "memory",
    seeds: async () => [...(await tars()), (await tars())[0]!.subarray(0, 2048)],
    repair: withChecksums,
    async run(bytes) {
      for await (const { start, size } of tarMembers(fileOf(bytes), "a.tar"))
        if (!(start >= 0 && size >= 0 && start + size <= bytes.length))
          throw new Error("a member lies outside of the tar");
    },
  },
  file("jsonl-file", "rows.jsonl", async () => [
    utf8(`${rows[1]}\n${rows[4]}\n`),
    utf8(`\ufeff${rows[2]}\r\n\n${rows[3]}`),
  ]),
  { ...file("tar-file", "shard.tar", tars), repair: withChecksums },
  file("parquet-file", "rows.parquet", () =>
    Promise.all(
      ["pairs", "nested", "reference-snappy", "reference-zstd"].map((name) => readFile(`test/data/${name}.parquet`)),
    ),
  ),
];

let folder: DataFolder | undefined;
let scratch: string | undefined;

function scratchFolder(): string {
  if (scratch === undefined) {
    const made = mkdtempSync(join(tmpdir(), "kelix-fuzz-"));
    process.once("exit", () => rmSync(made, { recursive: true, force: true }));
    scratch = made;
  }
  return scratch;
}

/** Opens a file of data and reads its first examples with their images. */
function file(name: string, fileName: string, seeds: Target["seeds"]): Target {
  return {
    name,
    kind: "open",
    seeds,
    async run(bytes) {
      const path = join(scratchFolder(), fileName);
      await writeFile(path, bytes);
      const source = await openData(path);
      try {
        for (let i = 0; i < Math.min(source.count, 8); i++)
          for (const image of imagesOf(await source.read(i))) await image.read();
      } finally {
        await source.close();
      }
    },
  };
}

/** The first blocks of a tar of each writer. */
function tars(): Promise<Uint8Array[]> {
  return Promise.all(["gnu", "pax"].map((name) => readFile(`test/data/${name}.tar`)));
}

/** Bytes as an open file. */
function fileOf(bytes: Uint8Array) {
  return {
    stat: async () => ({ size: bytes.length }),
    async read(into: Uint8Array, offset: number, length: number, position: number) {
      const piece = bytes.subarray(position, position + length);
      into.set(piece, offset);
      return { bytesRead: piece.length };
    },
  };
}

/** The sum of each header's bytes, its own eight counted as spaces. */
function withChecksums(tar: Uint8Array): Uint8Array {
  const changed = Uint8Array.from(tar);
  for (let at = 0; at + 512 <= changed.length; at += 512) {
    const header = changed.subarray(at, at + 512);
    if (new TextDecoder().decode(header.subarray(257, 262)) !== "ustar") continue;
    header.fill(32, 148, 156);
    const sum = header.reduce((total, byte) => total + byte, 0);
    header.set(utf8(`${sum.toString(8).padStart(6, "0")}\0 `), 148);
  }
  return changed;
}
