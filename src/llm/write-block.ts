// Choosing one block from what a sequence has read: text by its scores, a visual block slot by slot, each sampled sub-token fed
// to the token head before the next is drawn.

import { counterRandom } from "../random/counter.ts";
import { textBlock } from "../sequence/blocks.ts";
import type { BlockIds, BlockVocabulary } from "../sequence/layout.ts";
import { isAllowed } from "./grammar.ts";
import { argmax, defaultSampling, type IdRange, type SamplingOptions, sampleId } from "./sampling.ts";
import type { Sequence } from "./sequence.ts";

export interface SamplerOptions extends Partial<SamplingOptions> {
  readonly seed?: number;
}

export interface Sampler {
  readonly sampling: SamplingOptions;
  readonly uniform: (block: number, slot: number) => number;
  readonly gumbel: (block: number, slot: number, rank: number) => number;
}

/** The options of drawing, and its random numbers: functions of the seed and of what is drawn. */
export function readSampler(options: SamplerOptions, { codesPerPatch: N, codebookSize }: BlockVocabulary): Sampler {
  const { temperature, topK, topP } = defaultSampling;
  const sampling: SamplingOptions = {
    temperature: options.temperature ?? temperature,
    topK: options.topK ?? topK,
    topP: options.topP ?? topP,
  };
  const random = counterRandom(options.seed ?? 0, "blocks");
  const noise = random.fork("gumbel");
  const ranks = codebookSize / N + 1; // a book's entries and vision_end
  return {
    sampling,
    uniform: (block, slot) => random.uniform(block * N + slot),
    gumbel: (block, slot, rank) => -Math.log(-Math.log(noise.uniform((block * N + slot) * ranks + rank))),
  };
}

/** Chooses the next block; slot 0 must come from `lead`. `onScores` is told the scores [V] that text is chosen by. */
export async function writeBlock(
  sequence: Sequence,
  lead: readonly IdRange[],
  sampler: Sampler & { readonly block: number; readonly onScores?: (scores: Float32Array) => void },
  vocabulary: BlockVocabulary,
): Promise<BlockIds> {
  const { vocabSize, visionEnd, qEos } = vocabulary;
  const { sampling, uniform, gumbel, block, onScores } = sampler;
  const only = onlyId(lead);
  if (only !== undefined && only < vocabSize) return textBlock(only, vocabulary);
  if (lead.every(([start]) => start < vocabSize)) {
    const [logits] = await sequence.scoreText();
    onScores?.(logits!);
    return textBlock(sampleId(logits!, lead, sampling, uniform(block, 0)), vocabulary);
  }
  const ids = await sequence.drawVisualBlock(
    sampling,
    (slot, rank) => gumbel(block, slot, rank),
    isAllowed(visionEnd, lead),
  );
  return ids ? Int32Array.of(...ids, qEos) : textBlock(visionEnd, vocabulary);
}

/**
 * After a guess was read: the blocks that would have been written one by one, which are the guess as far as it agrees and one
 * more. The sequence forgets the rest of the guess.
 */
export async function confirmGuess(
  sequence: Sequence,
  guess: readonly number[],
  lead: readonly IdRange[],
  vocabulary: BlockVocabulary,
): Promise<BlockIds[]> {
  const scores = await sequence.scoreText(guess.length + 1);
  const best = scores.map((logits) => argmax(logits, lead));
  const wrong = guess.findIndex((id, i) => id !== best[i]);
  const agreed = wrong < 0 ? guess.length : wrong;
  sequence.truncate(sequence.length - guess.length + agreed);
  return best.slice(0, agreed + 1).map((id) => textBlock(id, vocabulary));
}

function onlyId([range, ...others]: readonly IdRange[]): number | undefined {
  return range && others.length === 0 && range[1] - range[0] === 1 ? range[0] : undefined;
}
