// Examples from a run's own data as rows of the language model: conversations with images on either side, captions both ways, and
// documents. Only the assistant's turns are trained on, and all of a document.

import { type Example, imagesOf, type Part } from "../../corpus/example.ts";
import { InputError } from "../../errors.ts";
import type { RgbImage } from "../../image/rgb.ts";
import type { CounterRandom } from "../../random/counter.ts";
import { squareImages, wordsOfCaption } from "./own-data.ts";
import type { EncodedRow, RowPart, RowWriter } from "./rows.ts";

export interface OwnRow extends EncodedRow {
  /** In the order of the row's placeholders. */
  readonly images: readonly RgbImage[];
  /** Whether the last image is written by the assistant. */
  readonly writesImage: boolean;
}

export interface OwnRowOptions {
  readonly writer: RowWriter;
  /** Pixels of an image's side, and blocks of a row. */
  readonly side: number;
  readonly length: number;
  /** Share of captions used to request their image instead of describing it; and the share of empty requests among these. */
  readonly requests: number;
  readonly promptless: number;
}

/** Throws an InputError for an example that does not fit into a row. */
export async function ownRow(example: Example, random: CounterRandom, options: OwnRowOptions): Promise<OwnRow> {
  const { row, writesImage, images = imagesOf(example).length } = encode(example, random, options);
  // Turns that did not fit were dropped, with their images.
  const shown = imagesOf(example).slice(0, images);
  return { ...row, writesImage, images: await squareImages(example, shown, options.side) };
}

interface Encoded {
  readonly row: EncodedRow;
  readonly writesImage: boolean;
  /** All if absent. */
  readonly images?: number;
}

function encode(
  example: Example,
  random: CounterRandom,
  { writer, length, requests, promptless }: OwnRowOptions,
): Encoded {
  if (example.kind === "document") {
    const row = writer.document(example.parts.map(partOf), length, random.fork("window"));
    return { row, writesImage: false, images: writer.imagesIn(row) };
  }
  if (example.kind === "chat") {
    const turns = example.turns.map(({ role, content }) => ({ role, parts: content.map(partOf) }));
    const row = writer.conversation(turns, length);
    const images = writer.imagesIn(row);
    return { row, writesImage: row.isAnswer[row.ids.lastIndexOf(writer.imageId)] ?? false, images };
  }
  const draw = random.fork("direction");
  if (example.kind === "caption" && draw.uniform(0) >= requests) {
    const { describe } = wordsOfCaption(example.caption, random);
    return { row: writer.understanding([describe], length), writesImage: false };
  }
  const isSilent = example.kind === "image" || draw.uniform(1) < promptless;
  const row = writer.imagining(isSilent ? "" : wordsOfCaption(example.caption, random).prompt);
  if (row.ids.length > length) throw new InputError(`a row of ${row.ids.length} blocks does not fit into ${length}`);
  return { row, writesImage: true };
}

function partOf(part: Part): RowPart {
  return part.type === "text" ? { text: part.text } : "image";
}
