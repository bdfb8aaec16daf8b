// Rows of ids become blocks, and blocks become images again. Reference: sections 5.2 and 6.8 of Kelix's sequence format
// (arXiv 2602.09843): a text block is [id, q_eos, ..], a visual block its N ids and q_eos.

import { type BlockIds, type BlockVocabulary, blockCount, isVisual, slotsPerBlock } from "./layout.ts";

/** [id, q_eos, .., q_eos] */
export function textBlock(id: number, vocabulary: BlockVocabulary): BlockIds {
  const block = new Int32Array(slotsPerBlock(vocabulary)).fill(vocabulary.qEos);
  block[0] = id;
  return block;
}

/**
 * Expands rows of ids [T] into blocks [T, N+1]: the k-th placeholder takes row k of `imageIds` [M, N], every other id
 * becomes a text block. Throws unless there are as many placeholders as rows.
 */
export function expandRow(ids: ArrayLike<number>, imageIds: ArrayLike<number>, vocabulary: BlockVocabulary): BlockIds {
  const { codesPerPatch: N, imagePad, qEos } = vocabulary;
  const slots = N + 1;
  const blocks = new Int32Array(ids.length * slots).fill(qEos);
  let used = 0;
  for (let t = 0; t < ids.length; t++) {
    if (ids[t] !== imagePad) {
      blocks[t * slots] = ids[t]!;
      continue;
    }
    for (let i = 0; i < N && used * N + i < imageIds.length; i++) blocks[t * slots + i] = imageIds[used * N + i]!;
    used++;
  }
  if (used * N !== imageIds.length) {
    throw new Error(`${used} image placeholders in the text, but ids for ${imageIds.length / N} positions of images`);
  }
  return blocks;
}

/** What the embedding of blocks reads: see blockInputs. */
export interface BlockInputs {
  /** [T, N] rows of the table. */
  readonly index: Int32Array;
  /** [T, N] 1 where the slot comes before the first q_eos. */
  readonly weight: Float32Array;
}

/**
 * Rows of the embedding table for each block, and which of them add up to the block's input. A text block repeats its
 * first id, whatever its other slots hold; a block that starts with q_eos counts nothing.
 */
export function blockInputs(blocks: BlockIds, vocabulary: BlockVocabulary): BlockInputs {
  const { codesPerPatch: N, qEos } = vocabulary;
  const T = blockCount(blocks, vocabulary);
  const index = new Int32Array(T * N);
  const weight = new Float32Array(T * N);
  for (let t = 0; t < T; t++) {
    const at = t * (N + 1);
    const lead = blocks[at]!;
    let isOpen = true;
    for (let j = 0; j < N; j++) {
      const id = isVisual(lead, vocabulary) ? blocks[at + j]! : lead;
      index[t * N + j] = Math.max(id, 0);
      isOpen &&= blocks[at + j] !== qEos;
      weight[t * N + j] = isOpen ? 1 : 0;
    }
  }
  return { index, weight };
}
