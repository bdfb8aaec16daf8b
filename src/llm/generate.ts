// Writing: blocks one after the other, slot by slot, each sampled sub-token fed to the token head before the next is
// drawn. The grammar keeps every block well formed; a finished picture comes with the hidden states it was written from.

import { counterRandom } from "../random/counter.ts";
import { textBlock } from "../sequence/blocks.ts";
import { type BlockIds, bookRange } from "../sequence/layout.ts";
import { BlockGrammar, type GrammarOptions } from "./grammar.ts";
import type { LanguageModel, Sequence } from "./language-model.ts";
import { checkSampling, defaultSampling, type IdRange, isGreedy, type SamplingOptions, sampleId } from "./sampling.ts";

export interface GenerateOptions extends Partial<SamplingOptions>, GrammarOptions {
  /** At most this many blocks are written, the ending one included. */
  readonly maxNewBlocks: number;
  readonly seed?: number;
  /** Text ids that end the answer; the model's eos if absent. */
  readonly stopIds?: readonly number[];
  readonly signal?: AbortSignal;
}

/** A picture between its vision_start and vision_end. */
export interface WrittenPicture {
  /** [M, N] ids of the joint vocabulary. */
  readonly ids: Int32Array;
  /** Hidden states from vision_start to vision_end, [M+2, D]: what the diffusion transformer is conditioned on. */
  readonly hidden: Float32Array;
}

export interface WrittenBlock {
  /** [N+1] */
  readonly ids: BlockIds;
  readonly kind: "text" | "visual";
  /** With the vision_end block that completes it. */
  readonly picture?: WrittenPicture;
}

/**
 * Reads the prompt's blocks [T, N+1] and yields new ones until one of `stopIds`, the limit, or the signal's abort (which
 * throws its reason). The sequence then holds everything read; its last block may not have been read back yet.
 * The same seed, prompt and options give the same blocks.
 */
export async function* generate(
  model: LanguageModel,
  sequence: Sequence,
  prompt: BlockIds,
  options: GenerateOptions,
): AsyncGenerator<WrittenBlock, void, void> {
  const { vocabulary } = model;
  const { codesPerPatch: N, codebookSize, visionStart, visionEnd, vocabSize } = vocabulary;
  const sampling: SamplingOptions = {
    temperature: options.temperature ?? defaultSampling.temperature,
    topK: options.topK ?? defaultSampling.topK,
    topP: options.topP ?? defaultSampling.topP,
  };
  checkSampling(sampling);
  const { maxNewBlocks, stopIds = [vocabulary.eos], signal } = options;
  if (!Number.isInteger(maxNewBlocks) || maxNewBlocks < 1)
    throw new Error(`Expected \`maxNewBlocks\` to be an integer from 1 on, got ${maxNewBlocks}`);
  const random = counterRandom(options.seed ?? 0, "blocks");
  const grammar = new BlockGrammar(vocabulary, options);
  const noise = random.fork("gumbel");
  const bookSize = codebookSize / N;
  const sampler: Sampler = {
    sampling,
    uniform: (block, slot) => random.uniform(block * N + slot),
    gumbel: (block, slot, rank) => -Math.log(-Math.log(noise.uniform((block * N + slot) * bookSize + rank))),
  };

  signal?.throwIfAborted();
  let start = -1; // block of the open picture's vision_start
  for (let t = 0; t * (N + 1) < prompt.length; t++) {
    const lead = prompt[t * (N + 1)]!;
    grammar.accept(lead);
    if (lead === visionStart) start = sequence.length + t;
  }
  const drawn: Int32Array[] = grammar.isInPicture ? openPicture(prompt, N, visionStart) : [];
  let unread = prompt;
  for (let written = 0; written < maxNewBlocks; written++) {
    await sequence.read(unread);
    signal?.throwIfAborted();
    const ids = await writeBlock(model, sequence, grammar.lead(), { ...sampler, block: written });
    const lead = ids[0]!;
    const wasInPicture = grammar.isInPicture;
    grammar.accept(lead);
    unread = ids;
    if (lead === visionStart) {
      start = sequence.length;
      drawn.length = 0;
    }
    if (lead >= vocabSize) {
      drawn.push(ids.slice(0, N));
      yield { ids, kind: "visual" };
    } else if (lead === visionEnd && wasInPicture) {
      // The picture needs the state at its own end, so this block is read at once.
      await sequence.read(ids);
      unread = new Int32Array(0);
      const hidden = sequence.hidden(start, sequence.length);
      const picture = { ids: Int32Array.from(drawn.flatMap((block) => [...block])), hidden };
      yield drawn.length > 0 ? { ids, kind: "text", picture } : { ids, kind: "text" };
    } else yield { ids, kind: "text" };
    if (stopIds.includes(lead)) return;
    signal?.throwIfAborted();
  }
}

interface Sampler {
  readonly sampling: SamplingOptions;
  readonly uniform: (block: number, slot: number) => number;
  readonly gumbel: (block: number, slot: number, rank: number) => number;
}

/** Chooses the slots of one block; slot 0 must come from `lead`. */
async function writeBlock(
  { vocabulary }: LanguageModel,
  sequence: Sequence,
  lead: readonly IdRange[],
  { sampling, uniform, gumbel, block }: Sampler & { readonly block: number },
): Promise<BlockIds> {
  const { codesPerPatch: N, vocabSize, visionEnd, qEos } = vocabulary;
  const [first] = lead;
  if (lead.length === 1 && first && first[1] - first[0] === 1 && first[0] < vocabSize)
    return textBlock(first[0], vocabulary);
  const ids = new Int32Array(N + 1).fill(qEos);
  const isVisualForSure = lead.every(([start]) => start >= vocabSize);
  const mayBeVisual = lead.some(([start]) => start >= vocabSize);
  if (isVisualForSure || (mayBeVisual && isGreedy(sampling))) {
    const drawn = await sequence.drawVisualBlock(sampling, (slot, rank) => gumbel(block, slot, rank));
    if (!isVisualForSure && drawn.isEndLikelier) return textBlock(visionEnd, vocabulary);
    ids.set(drawn.ids);
    return ids;
  }
  for (let i = 0; i < N; i++) {
    const logits = await sequence.scoreSlot([...ids.subarray(0, i)]);
    ids[i] = sampleId(logits, i === 0 ? lead : [bookRange(i, vocabulary)], sampling, uniform(block, i));
    // A text block is over: its slot 1 is q_eos, as the head has learned.
    if (i === 0 && ids[0]! < vocabSize) break;
  }
  return ids;
}

/** Blocks of a picture that the prompt leaves open. */
function openPicture(prompt: BlockIds, N: number, visionStart: number): Int32Array[] {
  const blocks = Array.from({ length: prompt.length / (N + 1) }, (_, t) => prompt.slice(t * (N + 1), t * (N + 1) + N));
  return blocks.slice(blocks.findLastIndex((block) => block[0] === visionStart) + 1);
}
