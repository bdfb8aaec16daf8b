// How likely a written token was, and which others stood beside it: from the scores that it was chosen from.

import { largestIds } from "../llm/sampling.ts";
import type { TextTokenizer } from "../text/tokenizer.ts";

/** A token and the natural logarithm of its probability among all tokens of text, whatever the sampling options were. */
export interface TokenLogprob {
  /** A token that holds part of a character reads as U+FFFD. */
  readonly text: string;
  /** What it adds to the answer, in UTF-8. */
  readonly bytes: readonly number[];
  readonly logprob: number;
}

/** Of a token of an answer, with the most likely ones in its place, the first first. */
export interface TokenLogprobs extends TokenLogprob {
  readonly top: readonly TokenLogprob[];
}

/** Of the token `id` by its scores [V], with the `most` likeliest. */
export function tokenLogprobs(
  scores: Float32Array,
  id: number,
  most: number,
  tokenizer: Pick<TextTokenizer, "bytesOf">,
): TokenLogprobs {
  let largest = Number.NEGATIVE_INFINITY;
  for (const score of scores) largest = Math.max(largest, score);
  let sum = 0;
  for (const score of scores) sum += Math.exp(score - largest);
  const log = largest + Math.log(sum);
  const named = (id: number): TokenLogprob => {
    const bytes = tokenizer.bytesOf(id);
    return { text: new TextDecoder().decode(bytes), bytes: [...bytes], logprob: scores[id]! - log };
  };
  return { ...named(id), top: most === 0 ? [] : largestIds(scores, [[0, scores.length]], most).map(named) };
}
