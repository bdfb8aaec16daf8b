// How likely the model holds what a conversation's last turn says, token by token.

import { codesFromIds } from "../sequence/ids.ts";
import { isVisual, slotsPerBlock } from "../sequence/layout.ts";
import type { ConversationSetting, LastTurn } from "./conversation.ts";

/** One token of text, or one code of an image's position. */
export interface TokenScore {
  /** In the model's vocabulary: text comes first, then the entries of one codebook after the other. */
  readonly id: number;
  /** Natural logarithm of its probability among all entries, given everything before it. */
  readonly logprob: number;
  /** Of a token of text; the name of a mark such as <|im_end|>. A token that holds part of a character reads as U+FFFD. */
  readonly text?: string;
  /** Of a code: its image among those of the turn, its place there, its codebook, and its entry in it. */
  readonly code?: {
    readonly image: number;
    readonly row: number;
    readonly column: number;
    readonly book: number;
    readonly code: number;
  };
}

/** Names what was scored. `scored` has a log-probability for each token of the turn's text blocks and N for visual ones. */
export function tokenScores(
  { row, start, images }: LastTurn,
  scored: readonly (readonly number[])[],
  { text: { tokenizer }, vocabulary }: Pick<ConversationSetting, "text" | "vocabulary">,
): TokenScore[] {
  const slots = slotsPerBlock(vocabulary);
  let [image, position] = [0, 0];
  return scored.flatMap((logprobs, k): TokenScore[] => {
    const ids = row.subarray((start + k) * slots, (start + k) * slots + vocabulary.codesPerPatch);
    if (!isVisual(ids[0]!, vocabulary)) {
      const id = ids[0]!;
      return [{ id, logprob: logprobs[0]!, text: tokenizer.addedName(id) ?? tokenizer.decode([id]) }];
    }
    const [rows, columns] = images[image]!.grid;
    const place = { image, row: Math.floor(position / columns), column: position % columns };
    if (++position === rows * columns) [image, position] = [image + 1, 0];
    const codes = codesFromIds(ids, vocabulary);
    return logprobs.map((logprob, book) => ({ id: ids[book]!, logprob, code: { ...place, book, code: codes[book]! } }));
  });
}
