// What a row of blocks is made of: the vocabulary's borders and the flat layout of ids.
// A block has N+1 slots; text is [id, q_eos, ..], a patch of a picture [id_0, .., id_{N-1}, q_eos] (arXiv 2602.09843).

/** The borders and special ids that give blocks their meaning. All come from the model's config. */
export interface BlockVocabulary {
  /** V: text ids are 0..V-1, visual ids V..V+S-1. */
  readonly textSize: number;
  /** S: entries of all books together; book i owns V + i*S/N .. V + (i+1)*S/N - 1. */
  readonly codebookSize: number;
  /** N: codes per block. */
  readonly codesPerBlock: number;
  /** Ends a block. */
  readonly qEos: number;
  /** Stands in a row of text ids where a patch of a picture goes. */
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
  return vocabulary.codesPerBlock + 1;
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
  return id >= vocabulary.textSize;
}

/** First id of book i, and the first id after it. */
export function bookRange(book: number, { textSize, codebookSize, codesPerBlock }: BlockVocabulary): readonly [number, number] {
  const size = codebookSize / codesPerBlock;
  return [textSize + book * size, textSize + (book + 1) * size];
}

/** Positions 0, 1, 2, .. that start again at each segment border: cuSegments [n+1] holds 0 and the ends. */
export function segmentPositions(cuSegments: ArrayLike<number>): Int32Array {
  const positions = new Int32Array(cuSegments[cuSegments.length - 1] ?? 0);
  for (let s = 0; s + 1 < cuSegments.length; s++) {
    const start = cuSegments[s]!;
    for (let t = start; t < cuSegments[s + 1]!; t++) positions[t] = t - start;
  }
  return positions;
}
