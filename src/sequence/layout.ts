// What a row of blocks is made of: the vocabulary's borders and the flat layout of ids.
// A block has N+1 slots; text is [id, q_eos, ..], a patch of an image [id_0, .., id_{N-1}, q_eos] (arXiv 2602.09843).

import type { IdLayout } from "./ids.ts";

/** The borders and special ids that give blocks their meaning. All come from the model's config. */
export interface BlockVocabulary extends IdLayout {
  /** Ends a block. */
  readonly qEos: number;
  /** Stands in a row of text ids where a patch of an image goes. */
  readonly imagePad: number;
  readonly visionStart: number;
  readonly visionEnd: number;
  /** Ends an answer. */
  readonly eos: number;
}

/** Blocks one after the other: T blocks of N+1 slots. */
export type BlockIds = Int32Array;

/** N+1. */
export function slotsPerBlock(vocabulary: BlockVocabulary): number {
  return vocabulary.codesPerPatch + 1;
}

/** T, after checking that the ids fill whole blocks. */
export function blockCount(blocks: ArrayLike<number>, vocabulary: BlockVocabulary): number {
  const count = blocks.length / slotsPerBlock(vocabulary);
  if (!Number.isInteger(count)) {
    throw new Error(`${blocks.length} ids do not fill blocks of ${slotsPerBlock(vocabulary)} slots`);
  }
  return count;
}

/** Whether an id belongs to a codebook. */
export function isVisual(id: number, vocabulary: BlockVocabulary): boolean {
  return id >= vocabulary.vocabSize;
}

/** First id of book i, and the first id after it. */
export function bookRange(
  book: number,
  { vocabSize, codebookSize, codesPerPatch }: BlockVocabulary,
): readonly [number, number] {
  const size = codebookSize / codesPerPatch;
  return [vocabSize + book * size, vocabSize + (book + 1) * size];
}
