// Greedy generation exactly as the reference does it, to reproduce its numbers: no grammar, each slot chosen by itself after
// feeding the largest score's id, up to maxNewBlocks + 1 blocks, the first not tested for eos.

import { scoreSlot } from "../../src/eval/slot-scores.ts";
import type { LanguageModel } from "../../src/llm/language-model.ts";
import { argmax } from "../../src/llm/sampling.ts";
import type { BlockIds } from "../../src/sequence/layout.ts";

export interface ReferenceGeneration {
  /** [T, N+1] of the new blocks. */
  readonly blocks: BlockIds;
  /** Hidden states of every block that was read: the prompt's and all new ones but the last, [.., D]. */
  readonly hidden: Float32Array;
  /** For each new block the scores of the sub-tokens that the head produced, n_sub of [V+S]. */
  readonly subLogits: readonly (readonly Float32Array[])[];
}

/** Reads the prompt's blocks [L, N+1] and writes up to maxNewBlocks + 1 more. */
export async function generateAsReference(
  model: LanguageModel,
  prompt: BlockIds,
  maxNewBlocks: number,
): Promise<ReferenceGeneration> {
  const { codesPerPatch: N, qEos, eos, vocabSize, codebookSize } = model.vocabulary;
  const everything = [[0, vocabSize + codebookSize]] as const;
  const sequence = model.start();
  const blocks: number[] = [];
  const subLogits: Float32Array[][] = [];
  let unread = prompt;
  for (let written = 0; written <= maxNewBlocks; written++) {
    await sequence.read(unread);
    const scores: Float32Array[] = [];
    const fed: number[] = [];
    // At most N sub-tokens: the head stops once it has been fed N of them, so slot N is never scored.
    while (fed.length < N && fed.at(-1) !== qEos) {
      const logits = await scoreSlot(model, sequence, fed);
      scores.push(logits);
      fed.push(argmax(logits, everything));
    }
    subLogits.push(scores);
    // A slot that the head never reached gets the lowest id: its scores are all equal.
    const block = new Int32Array(N + 1).fill(qEos);
    for (let i = 0; i < N; i++) {
      block[i] = fed[i] ?? 0;
      if (block[i] === qEos) break;
    }
    blocks.push(...block);
    unread = block;
    if (written > 0 && block[0] === eos) break;
  }
  return { blocks: Int32Array.from(blocks), hidden: sequence.hidden(0, sequence.length), subLogits };
}
