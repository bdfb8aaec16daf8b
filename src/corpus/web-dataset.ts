// WebDataset: tars in which a sample's members are adjacent and share a key: 0001.jpg, 0001.txt, 0001.json. One pass over the
// headers indexes all shards; a sample's bytes are read from its tar when it is drawn.

import { basename } from "node:path";
import { InputError, quote } from "../errors.ts";
import { decodeImage } from "../image/codec.node.ts";
import { MAX_FILE_BYTES } from "../image/image-format.ts";
import type { DataSource, Example, StoredImage } from "./example.ts";
import { GrowingNumbers } from "./growing-numbers.ts";
import { type IndexedFile, joinFiles } from "./joined-files.ts";
import { openPlainFile, parseRow, readExactly } from "./jsonl.ts";
import { readRow } from "./row.ts";
import { type TarMember, tarMembers } from "./tar-index.ts";

/** The members read from a sample; others are skipped. */
const kinds = ["jpg", "jpeg", "png", "webp", "txt", "json"] as const;
type Kind = (typeof kinds)[number];
const MAX_TEXT_BYTES = 16_000_000;
/** 24 bytes of memory each. */
const MAX_MEMBERS = 50_000_000;

interface Shard extends IndexedFile {
  readonly name: string;
  /** For each sample: the index of its first member. */
  readonly samples: GrowingNumbers;
  /** For each sample: the offset of its first member's headers, from which its key is read on demand. */
  readonly headers: GrowingNumbers;
  /** For each member: its offset, size and kind. */
  readonly starts: GrowingNumbers;
  readonly sizes: GrowingNumbers;
  readonly kinds: GrowingNumbers;
}

/** Shards as one source, in the given order. Throws an InputError if one is not a tar, or there is no sample. */
export async function openWebDataset(paths: readonly string[], signal?: AbortSignal): Promise<DataSource> {
  const nothing = `has no sample with an image or a text (${kinds.join(", ")})`;
  const shards = await joinFiles(paths, (path, hash) => indexShard(path, hash, signal), nothing);
  return {
    format: `${paths.length} ${paths.length === 1 ? "shard" : "shards"} of WebDataset`,
    count: shards.count,
    fingerprint: shards.fingerprint,
    read: (index) => readSample(...shards.find(index)),
    key: (index) => readKey(...shards.find(index)),
    close: shards.close,
  };
}

async function indexShard(path: string, hash: { update(text: string): unknown }, signal?: AbortSignal): Promise<Shard> {
  const name = basename(path);
  const file = await openPlainFile(path);
  const shard = {
    name,
    file,
    samples: new GrowingNumbers(),
    headers: new GrowingNumbers(),
    starts: new GrowingNumbers(),
    sizes: new GrowingNumbers(),
    kinds: new GrowingNumbers(),
  };
  try {
    let lastKey: string | undefined;
    for await (const member of tarMembers(file, name, { signal })) {
      const { key, kind } = nameParts(member);
      const code = kinds.indexOf(kind as Kind);
      if (code < 0) continue;
      if (key !== lastKey) {
        shard.samples.push(shard.starts.length);
        shard.headers.push(member.header);
      }
      lastKey = key;
      if (shard.starts.length === MAX_MEMBERS)
        throw new InputError(`${name}: has more than ${MAX_MEMBERS / 1e6} million members; split it`);
      shard.starts.push(member.start);
      shard.sizes.push(member.size);
      shard.kinds.push(code);
      hash.update(`${member.name}\0${member.size}\0`);
    }
    return { ...shard, count: shard.samples.length };
  } catch (error) {
    await file.close();
    throw error;
  }
}

/** The key ends at the first dot of the last part of the name, as in the reference implementation. */
function nameParts({ name }: TarMember): { key: string; kind: string } {
  const [, key = name, kind = ""] = /^((?:.*\/)?[^/.]+)\.([^/]*)$/.exec(name) ?? [];
  return { key, kind: kind.toLowerCase() };
}

async function readKey(shard: Shard, sample: number): Promise<string> {
  const members = tarMembers(shard.file, shard.name, { from: shard.headers.at(sample) });
  for await (const member of members) return nameParts(member).key;
  throw new InputError(`${shard.name}: the file has become shorter since it was opened`);
}

async function readSample(shard: Shard, sample: number): Promise<Example> {
  const where = `${shard.name}, sample ${sample + 1}`;
  const end = sample + 1 < shard.samples.length ? shard.samples.at(sample + 1) : shard.starts.length;
  let image: StoredImage | undefined;
  let text: string | undefined;
  let fields: unknown = {};
  for (let m = shard.samples.at(sample); m < end; m++) {
    const kind = kinds[shard.kinds.at(m)]!;
    const [start, size] = [shard.starts.at(m), shard.sizes.at(m)];
    const isImage = kind !== "txt" && kind !== "json";
    const most = isImage ? MAX_FILE_BYTES : MAX_TEXT_BYTES;
    if (size > most) throw new InputError(`${where}: its ${kind} has ${size} bytes, at most ${most / 1e6} MB are read`);
    if (isImage) {
      const name = `${kind} of ${where}`;
      image = { name, read: async () => decodeImage(await readExactly(shard.file, start, size, where), name) };
      continue;
    }
    const bytes = await readExactly(shard.file, start, size, where);
    if (kind === "txt") text = new TextDecoder().decode(bytes).trim();
    else fields = parseRow(bytes, where);
  }
  if (typeof fields !== "object" || fields === null || Array.isArray(fields))
    throw new InputError(`${where}: its json must be an object, got ${quote(fields)}`);
  const row = { ...fields, ...(image && { image }), ...(text !== undefined && { [image ? "caption" : "text"]: text }) };
  return readRow(row, {
    where,
    image(value) {
      if (image && (value === image || typeof value === "string")) return image;
      throw new InputError("image: a sample's JSON may only refer to the image beside it", { code: "invalid_image" });
    },
  });
}
