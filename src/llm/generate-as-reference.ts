// Generation exactly as the reference does it, quirks included, to reproduce its numbers: no grammar, each slot drawn
// independently after feeding the *largest* score's id, up to maxNewBlocks + 1 blocks, the first not tested for eos.

import { counterRandom } from "../random/counter.ts";
import type { BlockIds } from "../sequence/layout.ts";
import type { LanguageModel } from "./language-model.ts";
import { argmax, type SamplingOptions, sampleIdAsReference } from "./sampling.ts";

export interface ReferenceGeneration {
  /** [T, N+1] of the new blocks. */
  readonly blocks: BlockIds;
  /** Hidden states of every block that was read: the prompt's and all new ones but the last, [.., D]. */
  readonly hidden: Float32Array;
  /** For each new block the scores of the sub-tokens that the head produced, n_sub of [V+S]. */
  readonly subLogits: readonly (readonly Float32Array[])[];
}

/** Reads the prompt's blocks [L, N+1] and writes up to maxNewBlocks + 1 more. Only with topK 1 is it what the model means. */
export async function generateAsReference(
  model: LanguageModel,
  prompt: BlockIds,
  options: SamplingOptions & { readonly maxNewBlocks: number; readonly seed?: number },
): Promise<ReferenceGeneration> {
  const { codesPerPatch: N, qEos, eos, vocabSize, codebookSize } = model.vocabulary;
  const random = counterRandom(options.seed ?? 0, "blocks");
  const everything = [[0, vocabSize + codebookSize]] as const;
  const sequence = model.start();
  const blocks: number[] = [];
  const subLogits: Float32Array[][] = [];
  let unread = prompt;
  for (let written = 0; written <= options.maxNewBlocks; written++) {
    await sequence.read(unread);
    const scores: Float32Array[] = [];
    const fed: number[] = [];
    // At most N sub-tokens: the head stops once it has been fed N of them, so slot N is never scored.
    while (fed.length < N && fed.at(-1) !== qEos) {
      const logits = await sequence.scoreSlot(fed);
      scores.push(logits);
      fed.push(argmax(logits, everything));
    }
    subLogits.push(scores);
    const block = new Int32Array(N + 1).fill(qEos);
    for (let i = 0; i < N; i++) {
      // Slots that the head never reached are drawn from equal scores.
      const logits = scores[i] ?? new Float32Array(vocabSize + codebookSize);
      block[i] = sampleIdAsReference(logits, options, random.uniform(written * (N + 1) + i));
      if (block[i] === qEos) break;
    }
    blocks.push(...block);
    unread = block;
    if (written > 0 && block[0] === eos) break;
  }
  return { blocks: Int32Array.from(blocks), hidden: sequence.hidden(0, sequence.length), subLogits };
}
