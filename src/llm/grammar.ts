// Which ids each slot of the next block may hold, so that what is written is always well formed: text blocks of one id,
// and between vision_start and vision_end blocks whose slot i comes from book i, as many as an image needs.

import { type BlockVocabulary, bookRange } from "../sequence/layout.ts";
import type { IdRange } from "./sampling.ts";

export interface GrammarOptions {
  /** Each image has exactly this many blocks (the patches of its grid); any number if absent. */
  readonly blocksPerImage?: number;
  /** Whether the model may begin images by itself. */
  readonly mayDraw?: boolean;
  /** Text ids that are never written, beside q_eos, the image placeholder and a vision_end without a beginning. */
  readonly forbidden?: readonly number[];
}

/** Follows a row of blocks and says what may come next. */
export class BlockGrammar {
  readonly #vocabulary: BlockVocabulary;
  readonly #blocksPerImage: number | undefined;
  readonly #text: readonly IdRange[];
  /** Blocks since the last vision_start; undefined outside images. */
  #drawn: number | undefined;

  constructor(vocabulary: BlockVocabulary, options: GrammarOptions = {}) {
    const { qEos, imagePad, visionStart, visionEnd, vocabSize } = vocabulary;
    this.#vocabulary = vocabulary;
    this.#blocksPerImage = options.blocksPerImage;
    const mayDraw = options.mayDraw ?? true;
    this.#text = without(
      [0, vocabSize],
      [qEos, imagePad, visionEnd, ...(mayDraw ? [] : [visionStart]), ...(options.forbidden ?? [])],
    );
  }

  /** Whether the next block stands between vision_start and vision_end. */
  get isInImage(): boolean {
    return this.#drawn !== undefined;
  }

  /** Ids that slot 0 of the next block may hold. */
  lead(): readonly IdRange[] {
    if (this.#drawn === undefined) return this.#text;
    const { visionEnd } = this.#vocabulary;
    const end: IdRange = [visionEnd, visionEnd + 1];
    const isOver = this.#blocksPerImage !== undefined && this.#drawn >= this.#blocksPerImage;
    if (isOver) return [end];
    const book = bookRange(0, this.#vocabulary);
    return this.#blocksPerImage === undefined ? [end, book] : [book];
  }

  /** Takes note of a block by its slot 0. */
  accept(lead: number): void {
    const { visionStart, visionEnd } = this.#vocabulary;
    if (lead === visionStart) this.#drawn = 0;
    else if (lead === visionEnd) this.#drawn = undefined;
    else if (this.#drawn !== undefined) this.#drawn++;
  }
}

/** Whether an id lies in one of the ranges. */
export function isAllowed(id: number, ranges: readonly IdRange[]): boolean {
  return ranges.some(([start, end]) => id >= start && id < end);
}

/** A range in pieces, the given ids left out. */
export function without([start, end]: IdRange, ids: readonly number[]): IdRange[] {
  const pieces: IdRange[] = [];
  let at = start;
  for (const id of [...new Set(ids)].filter((id) => id >= start && id < end).sort((a, b) => a - b)) {
    if (id > at) pieces.push([at, id]);
    at = id + 1;
  }
  if (at < end) pieces.push([at, end]);
  return pieces;
}
