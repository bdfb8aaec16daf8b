// Parquet rows, as in the reference's training sets, or with an image and a text each. Row groups are decoded whole
// and kept while their rows are drawn, so they should be small: a few hundred rows with images.

import { createHash } from "node:crypto";
import { basename, dirname } from "node:path";
import type { AsyncBuffer, FileMetaData, RowGroup, SchemaTree } from "hyparquet";
import { InputError, quote } from "../errors.ts";
import type { OpenFile } from "../files/open-file.ts";
import { DataFolder } from "./data-folder.ts";
import type { DataSource } from "./example.ts";
import { findLast } from "./growing-numbers.ts";
import { keyIn, openPlainFile, readExactly } from "./jsonl.ts";
import { readRow } from "./row.ts";

/** The columns to read, if present; see row.ts. */
const columns = ["messages", "message", "segments", "images", "image", "caption", "text", "question", "answer"];
/** Maximum bytes of a row group, unpacked. */
const MAX_GROUP_BYTES = 1_000_000_000;
/** Maximum bytes of all cached row groups together. */
const KEPT_BYTES = 1_000_000_000;
/** Maximum bytes of the footer. */
const MAX_FOOTER_BYTES = 100_000_000;

interface ParquetFile {
  readonly name: string;
  readonly file: OpenFile;
  readonly buffer: AsyncBuffer;
  readonly metadata: FileMetaData;
  readonly folder: DataFolder;
  readonly columns: readonly string[];
}

interface Group {
  readonly parquet: ParquetFile;
  /** Its first row in the file. */
  readonly row: number;
  readonly rows: number;
  readonly sizeBytes: number;
}

/** Files as one source, in the given order. Throws an InputError for a file that is not Parquet or has none of the columns. */
export async function openParquet(paths: readonly string[]): Promise<DataSource> {
  const files: ParquetFile[] = [];
  const close = async () => {
    for (const { file } of files) await file.close();
  };
  try {
    for (const path of paths) files.push(await openFile(path));
    const groups = files.flatMap(groupsOf);
    const starts = new Float64Array(groups.length);
    for (let i = 1; i < groups.length; i++) starts[i] = starts[i - 1]! + groups[i - 1]!.rows;
    const count = groups.reduce((sum, { rows }) => sum + rows, 0);
    if (count === 0) throw new InputError(`${quote(paths[0])}: has no rows`);
    const cache = new GroupCache(groups);
    const facts = groups.map(({ rows, sizeBytes }) => `${rows} ${sizeBytes}`).join();
    return {
      format: `${paths.length} ${paths.length === 1 ? "file" : "files"} of Parquet, ${groups.length} row groups`,
      count,
      groups: groups.map(({ rows }) => rows),
      fingerprint: createHash("sha256").update(facts).digest("hex").slice(0, 16),
      async read(index) {
        const g = findLast(starts, index);
        const { parquet, row } = groups[g]!;
        const inGroup = index - starts[g]!;
        const where = `${parquet.name}, row ${row + inGroup + 1}`;
        const rows = await cache.rows(g);
        return readRow(rows[inGroup], { where, image: (value) => parquet.folder.image(value) });
      },
      async key(index) {
        const g = findLast(starts, index);
        const { parquet, row } = groups[g]!;
        return keyIn(paths.length > 1 ? parquet.name : undefined, row + index - starts[g]! + 1);
      },
      close,
    };
  } catch (error) {
    await close();
    throw error;
  }
}

async function openFile(path: string): Promise<ParquetFile> {
  const name = basename(path);
  const file = await openPlainFile(path);
  try {
    const { size } = await file.stat();
    const buffer: AsyncBuffer = {
      byteLength: size,
      slice: async (start, end = size) => (await readExactly(file, start, end - start, name)).buffer as ArrayBuffer,
    };
    if (size < 12) throw new InputError(`${name}: is not Parquet`);
    const tail = await readExactly(file, size - 8, 8, name);
    if (new TextDecoder().decode(tail.subarray(4)) !== "PAR1")
      throw new InputError(`${name}: is not Parquet, or cut off`);
    const footer = new DataView(tail.buffer).getUint32(0, true);
    if (footer > Math.min(size - 8, MAX_FOOTER_BYTES))
      throw new InputError(`${name}: its footer claims ${footer} bytes`);
    const { parquetMetadataAsync, parquetSchema } = await import("hyparquet");
    const readFooter = async () => {
      const metadata = await parquetMetadataAsync(buffer);
      return { metadata, schema: parquetSchema(metadata) };
    };
    const { metadata, schema } = await readFooter().catch((cause: unknown) => {
      throw new InputError(`${name}: its footer cannot be read`, { cause });
    });
    const own = schema.children.map(({ element }) => element.name);
    const used = columns.filter((column) => own.includes(column));
    if (used.length === 0)
      throw new InputError(`${name}: has none of the columns ${columns.join(", ")}. It has ${quote(own)}`);
    for (const [g, group] of metadata.row_groups.entries())
      if (!followsSchema(group, schema))
        throw new InputError(`${name}: row group ${g + 1} does not follow the file's schema; the file is damaged`);
    return { name, file, buffer, metadata, folder: await DataFolder.open(dirname(path)), columns: used };
  } catch (error) {
    await file.close();
    throw error;
  }
}

/**
 * Whether each column chunk is one leaf of the schema. The library reads chunks side by side: after a fault in the layout of one,
 * nobody would wait for the others, and an error in their bytes would end the process.
 */
function followsSchema({ columns }: RowGroup, schema: SchemaTree): boolean {
  const paths = columns.map(({ meta_data: column }) => column?.path_in_schema ?? []);
  const leads = (path: readonly string[]) => {
    let node: SchemaTree | undefined = schema;
    for (const part of path) node = node?.children.find(({ element }) => element.name === part);
    return node?.children.length === 0;
  };
  return new Set(paths.map((path) => JSON.stringify(path))).size === paths.length && paths.every(leads);
}

function groupsOf(parquet: ParquetFile): Group[] {
  let row = 0;
  return parquet.metadata.row_groups.map((group, g) => {
    const rows = Number(group.num_rows);
    const sizeBytes = group.columns.reduce((sum, { meta_data: column }) => {
      const isUsed = column && parquet.columns.includes(column.path_in_schema[0]!);
      return sum + (isUsed ? Number(column.total_uncompressed_size) : 0);
    }, 0);
    if (!Number.isSafeInteger(rows) || rows < 0)
      throw new InputError(`${parquet.name}: row group ${g + 1} has no size`);
    if (sizeBytes > MAX_GROUP_BYTES)
      throw new InputError(
        `${parquet.name}: row group ${g + 1} has ${(sizeBytes / 1e9).toFixed(1)} GB, at most ${MAX_GROUP_BYTES / 1e9} are read at once. Write the file with smaller row groups`,
      );
    const found = { parquet, row, rows, sizeBytes };
    row += rows;
    return found;
  });
}

/** The most recently decoded row groups, the latest at the end. */
class GroupCache {
  readonly #groups: readonly Group[];
  readonly #kept = new Map<number, Promise<readonly unknown[]>>();

  constructor(groups: readonly Group[]) {
    this.#groups = groups;
  }

  rows(g: number): Promise<readonly unknown[]> {
    const rows = this.#kept.get(g) ?? readGroup(this.#groups[g]!, g);
    this.#kept.delete(g);
    this.#kept.set(g, rows);
    let total = 0;
    for (const other of [...this.#kept.keys()].reverse()) {
      total += this.#groups[other]!.sizeBytes;
      if (other !== g && total > KEPT_BYTES) this.#kept.delete(other);
    }
    return rows;
  }
}

async function readGroup({ parquet, row, rows }: Group, g: number): Promise<readonly unknown[]> {
  const { parquetReadObjects } = await import("hyparquet");
  const { compressors } = await import("hyparquet-compressors");
  const found = await parquetReadObjects({
    file: parquet.buffer,
    metadata: parquet.metadata,
    columns: [...parquet.columns],
    rowStart: row,
    rowEnd: row + rows,
    compressors,
    // Bytes are images; texts are marked as such in the schema.
    utf8: false,
  }).catch((cause: unknown) => {
    throw new InputError(`${parquet.name}: row group ${g + 1} cannot be decoded; the file is damaged`, { cause });
  });
  if (found.length !== rows)
    throw new InputError(`${parquet.name}: row group ${g + 1} has ${found.length} rows of ${rows}`);
  return found;
}
