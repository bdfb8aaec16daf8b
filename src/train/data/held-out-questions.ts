// Questions about held-out images, for the metrics shown while a model trains. eval/ measures finished models.

import type { Corpus, Sample } from "./corpus.ts";

export const questionKinds = ["emoji", "colour", "shape", "count"] as const;
export type QuestionKind = (typeof questionKinds)[number];

/** The kinds of questions in a corpus: scenes always, emoji if it has any. */
export function questionKindsOf({ concepts }: Pick<Corpus, "concepts">): QuestionKind[] {
  return questionKinds.filter((kind) => kind !== "emoji" || concepts.length > 0);
}

/** Far from the seeds of training configs, although held-out splits share no draws with training anyway. */
const SEED = 7;

/**
 * Samples with one question, `describe`: what an emoji in the held-out style is, or a colour, shape or number in a new
 * scene. An endless sequence, the same each time.
 */
export function* heldOutQuestions(corpus: Corpus, kind: QuestionKind): Generator<Sample, never, void> {
  for (let index = 0; ; index++) {
    const { question, ...sample } = corpus.sample(kind === "emoji" ? kind : "scene", "heldOutStyle", SEED, index);
    if (kind === "emoji") yield sample;
    else if (question?.about === kind) yield { ...sample, describe: question };
  }
}

/** The next `n` of a generator. */
export function take<T>(source: Generator<T, never, void>, n: number): T[] {
  return Array.from({ length: n }, () => source.next().value);
}
