// How likely a written token was, and which others stood beside it: from the scores that it was chosen from.

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
  return { ...named(id), top: likeliest(scores, most).map(named) };
}

/** The ids of the largest scores, the largest first, the lower id on ties. */
function likeliest(scores: Float32Array, most: number): number[] {
  const best: number[] = [];
  for (let id = 0; id < scores.length; id++) {
    if (best.length === most && !(most > 0 && scores[id]! > scores[best[most - 1]!]!)) continue;
    let at = best.length;
    while (at > 0 && scores[best[at - 1]!]! < scores[id]!) at--;
    best.splice(at, 0, id);
    best.length = Math.min(best.length, most);
  }
  return best;
}
