// Training data as the reference's recipes read it: Parquet rows of messages, segments, or an image and a text, with images as base64
// by their names. What is written reads again as the same examples (corpus/parquet.ts).

import { writeFile } from "node:fs/promises";
import { basename, join, resolve } from "node:path";
import type { Example, Part, StoredImage } from "../corpus/example.ts";
import { openData } from "../corpus/open.ts";
import { InputError } from "../errors.ts";
import { encodePng } from "../image/codec.node.ts";
import { createFolder, refuseExisting } from "../quantize/atomic-folder.ts";

/** What becomes of an image with a caption: a row of both, a chat that describes it, or a chat that draws it. */
export const captionForms = ["pair", "describe", "draw"] as const;

export interface ExportDataOptions {
  readonly captions?: (typeof captionForms)[number];
  /** Of a file; the reference gives whole files to its processes where there are enough. */
  readonly rowsPerFile?: number;
  /** The name of the data set, by which the reference counts, and chooses what is asked. */
  readonly source?: string;
  readonly signal?: AbortSignal;
  readonly log?: (line: string) => void;
}

/** Rows that are decoded and kept together by readers. */
const GROUP_ROWS = 100;
const QUESTION = "Describe this image.";

/** The columns, each of texts or of bytes; null where a row has none. */
const columns = {
  messages: "STRING",
  segments: "STRING",
  images: "STRING",
  image: "BYTE_ARRAY",
  text: "STRING",
  source: "STRING",
  uuid: "STRING",
  metadata: "STRING",
} as const;
type Row = { readonly [name in keyof typeof columns]?: string | Uint8Array };

/**
 * Writes the examples of `data` as Parquet files in the new folder `out`, which appears whole or not at all; returns how many. Throws an
 * InputError for an example that cannot be used or has no form there, and where `out` exists.
 */
export async function exportData(data: string, out: string, options: ExportDataOptions = {}): Promise<number> {
  const { captions = "pair", rowsPerFile = 1000, source: name = basename(resolve(data)), signal, log } = options;
  await refuseExisting(out);
  const { parquetWriteBuffer } = await import("hyparquet-writer");
  const source = await openData(data, signal);
  try {
    await createFolder(out, async (folder) => {
      const files = Math.ceil(source.count / rowsPerFile);
      for (let f = 0; f < files; f++) {
        const rows: Row[] = [];
        for (let i = f * rowsPerFile; i < Math.min(source.count, (f + 1) * rowsPerFile); i++) {
          signal?.throwIfAborted();
          const row = await rowOf(await source.read(i), captions);
          rows.push({ ...row, source: name, uuid: `${source.fingerprint}-${i}` });
        }
        const columnData = Object.entries(columns).map(([column, type]) => ({
          name: column,
          type,
          nullable: true,
          data: rows.map((row) => row[column as keyof Row] ?? null),
        }));
        const file = `part-${String(f).padStart(5, "0")}.parquet`;
        const bytes = parquetWriteBuffer({ columnData, rowGroupSize: GROUP_ROWS });
        await writeFile(join(folder, file), new Uint8Array(bytes), { flush: true });
        log?.(`${join(out, file)}: ${rows.length} rows`);
      }
    });
    return source.count;
  } finally {
    await source.close();
  }
}

async function rowOf(example: Example, captions: (typeof captionForms)[number]): Promise<Row> {
  if (example.kind === "image")
    throw new InputError(
      `${example.where}: is an image without words, from which the reference's recipes learn nothing`,
    );
  if (example.kind === "caption" && captions === "pair") {
    const { image, caption } = example;
    const pixels = await image.read();
    return { image: await encodePng(pixels), text: caption };
  }
  const images = new NamedImages();
  if (example.kind === "document")
    return { segments: JSON.stringify(await images.parts(example.parts)), ...images.row() };
  const messages: object[] = [];
  for (const { role, content } of example.kind === "chat" ? example.turns : turnsOf(example, captions))
    messages.push({ role, content: await images.parts(content) });
  return { messages: JSON.stringify(messages), ...images.row() };
}

/** The chat of an image and its caption. */
function turnsOf({ image, caption }: Extract<Example, { kind: "caption" }>, captions: (typeof captionForms)[number]) {
  const [shown, said] = [{ type: "image", image } as const, { type: "text", text: caption } as const];
  const [asked, answer] =
    captions === "draw" ? [[said], [shown]] : [[shown, { type: "text", text: QUESTION } as const], [said]];
  return [
    { role: "user", content: asked },
    { role: "assistant", content: answer },
  ] as const;
}

/** The images of a row by their names: numbers in the order of their mention. */
class NamedImages {
  readonly #images: Record<string, string> = {};
  readonly #sizes: Record<string, { readonly height: number; readonly width: number }> = {};
  #count = 0;

  async parts(content: readonly Part[]): Promise<object[]> {
    const parts: object[] = [];
    for (const part of content)
      parts.push(part.type === "text" ? part : { type: "image", image: await this.#add(part.image) });
    return parts;
  }

  row(): Pick<Row, "images" | "metadata"> {
    if (this.#count === 0) return {};
    return {
      images: JSON.stringify(this.#images),
      metadata: JSON.stringify({ images_info: this.#sizes }),
    };
  }

  async #add(image: StoredImage): Promise<string> {
    const pixels = await image.read();
    const name = `image-${this.#count++}`;
    this.#images[name] = Buffer.from(await encodePng(pixels)).toString("base64");
    this.#sizes[name] = { height: pixels.height, width: pixels.width };
    return name;
  }
}
