// What a training row is scored on: the loss mask from the chat turns, the label and weight of every slot.
// Weights make a text block and a visual block count the same in the sum (arXiv 2602.09843).

import { type BlockIds, type BlockVocabulary, blockCount, isVisual } from "../../sequence/layout.ts";

/** Token runs around an assistant's turn. */
export interface TurnPatterns {
  /** `<|im_start|>assistant\n` */
  readonly start: readonly number[];
  /** `<|im_end|>\n` */
  readonly end: readonly number[];
}

/** Label of a slot that carries no loss. */
export const IGNORED = -100;

/**
 * 1 for what the assistant says, its closing pattern included, else 0; the sample's last token is always 0. A sample in
 * which nothing is marked is read again with both patterns shortened by their last token (the newline); throws when
 * still nothing is.
 */
export function lossMask(ids: ArrayLike<number>, { start, end }: TurnPatterns): Uint8Array {
  const attempts = [
    { start, end },
    { start: start.slice(0, -1), end: end.slice(0, -1) },
  ];
  for (const attempt of attempts) {
    const mask = markTurns(ids, attempt);
    if (mask.length > 0) mask[mask.length - 1] = 0;
    if (mask.includes(1)) return mask;
  }
  throw new Error(`no assistant turn in a sample of ${ids.length} tokens: expected the run [${start}] in it`);
}

function markTurns(ids: ArrayLike<number>, { start, end }: TurnPatterns): Uint8Array {
  const mask = new Uint8Array(ids.length);
  if (start.length === 0 || end.length === 0) return mask;
  let isAnswer = false;
  for (let t = 0; t < ids.length; t++) {
    if (isAnswer) {
      mask[t] = 1;
      if (endsWith(ids, t, end)) isAnswer = false;
    } else if (endsWith(ids, t, start)) isAnswer = true;
  }
  return mask;
}

function endsWith(ids: ArrayLike<number>, last: number, pattern: readonly number[]): boolean {
  return pattern.every((id, i) => ids[last - pattern.length + 1 + i] === id);
}

/** Labels and weights of a row of T blocks: slot j of block t+1 is predicted at position t, slot j. */
export interface BlockLabels {
  /** [T-1, N+1], IGNORED where nothing is scored. */
  readonly labels: Int32Array;
  /** [T-1, N+1] */
  readonly weights: Float32Array;
  /** Number of labels that are not IGNORED: the divisor of the loss. */
  readonly count: number;
}

/** Each block that the mask [T] names is scored up to and including its first q_eos; then shifted by one block. */
export function blockLabels(blocks: BlockIds, mask: ArrayLike<number>, vocabulary: BlockVocabulary): BlockLabels {
  const { codesPerPatch: N, qEos } = vocabulary;
  const slots = N + 1;
  const T = blockCount(blocks, vocabulary);
  if (mask.length !== T) throw new Error(`a loss mask of ${mask.length} for ${T} blocks`);
  const labels = new Int32Array(Math.max(T - 1, 0) * slots).fill(IGNORED);
  const weights = new Float32Array(labels.length);
  const textWeight = (2 + slots) / (2 * 2);
  const imageWeight = (2 + slots) / (2 * slots);
  let count = 0;
  for (let t = 1; t < T; t++) {
    if (!mask[t]) continue;
    const weight = isVisual(blocks[t * slots]!, vocabulary) ? imageWeight : textWeight;
    let ends = 0;
    for (let j = 0; j < slots; j++) {
      const id = blocks[t * slots + j]!;
      if (id === qEos && ++ends > 1) break;
      labels[(t - 1) * slots + j] = id;
      weights[(t - 1) * slots + j] = weight;
      count++;
    }
  }
  return { labels, weights, count };
}
