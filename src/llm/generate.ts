// Writing: blocks one after the other, as write-block.ts chooses them. The grammar keeps every block well formed; a finished
// image comes with the hidden states it was written from.

import { InputError } from "../errors.ts";
import { joinIntegers } from "../runtime/host-tensor.ts";
import { textBlock } from "../sequence/blocks.ts";
import type { BlockIds, BlockVocabulary } from "../sequence/layout.ts";
import { BlockGrammar, type GrammarOptions, isAllowed, without } from "./grammar.ts";
import type { LanguageModel } from "./language-model.ts";
import { lookUp } from "./prompt-lookup.ts";
import { isGreedy, type SamplingOptions } from "./sampling.ts";
import type { Sequence } from "./sequence.ts";
import { confirmGuess, readSampler, writeBlock } from "./write-block.ts";

export interface GenerateOptions extends Partial<SamplingOptions>, GrammarOptions {
  /** At most this many blocks are written, the ending one included; any number if absent. */
  readonly maxNewBlocks?: number;
  /** At most this many blocks of text are written, which those of images and their marks are not; any number if absent. */
  readonly maxNewTokens?: number;
  /** So many blocks of text are written before one of `stopIds` may be; 0 if absent. */
  readonly minNewTokens?: number;
  /** Whether blocks of text come with the scores that they were chosen by; not where guesses are made. */
  readonly isScored?: boolean;
  /**
   * Blocks that the sequence may come to hold, the prompt's included; any number if absent. Text ends there, and an image that
   * would not be complete is rejected before it is begun.
   */
  readonly room?: number;
  /**
   * The ids [N] that a position of an image must have, counted from the image's first one; undefined where the model chooses.
   * Neighbouring ones are read together.
   */
  readonly forced?: ((position: number) => ArrayLike<number> | undefined) | undefined;
  /** How codes are drawn, where that differs from how text is. */
  readonly images?: Partial<SamplingOptions>;
  readonly seed?: number;
  /** Text ids that end the answer; the model's eos if absent. */
  readonly stopIds?: readonly number[];
  readonly signal?: AbortSignal;
  /**
   * Blocks of text that one step may guess from what was read (see prompt-lookup.ts), 0 if absent. What is written is the
   * same, in fewer steps where the answer repeats the prompt. Only greedy text is guessed, and only while nobody else writes.
   */
  readonly lookupBlocks?: number;
}

/** An image between its vision_start and vision_end. */
export interface WrittenImage {
  /** [M, N] ids of the joint vocabulary. */
  readonly ids: Int32Array;
  /** Hidden states from vision_start to vision_end, [M+2, D]: what the diffusion transformer is conditioned on. */
  readonly hidden: Float32Array;
  /** Whether no other sequence took part in any of its runs, and the conversation was read by them too: see Sequence. */
  readonly isOwn: boolean;
}

export interface WrittenBlock {
  /** [N+1] */
  readonly ids: BlockIds;
  readonly kind: "text" | "visual";
  /** [V] of text, where they were asked for and the model had a choice. */
  readonly scores?: Float32Array;
  /** With the vision_end block that completes it. */
  readonly image?: WrittenImage;
}

/** Throws an InputError unless an image of so many positions and its end fit behind `used` blocks. */
export function checkImageFits(used: number, positions: number, room: number): void {
  if (used + positions + 1 <= room) return;
  throw new InputError(
    `An image takes ${positions + 1} more positions, and of the ${room} that this model reads at most ` +
      `${Math.max(room - used, 0)} are left: shorten the prompt, or begin a new conversation`,
    { code: "too_long" },
  );
}

/**
 * Reads the prompt's blocks [T, N+1] and yields new ones until one of `stopIds`, a limit, or the signal's abort (which
 * throws its reason). The sequence is new, or has read the prompt's first blocks; afterwards it has read everything but,
 * perhaps, the last block. The same seed, prompt and options give the same blocks. Throws an InputError where an image does
 * not fit.
 */
export async function* generate(
  model: LanguageModel,
  sequence: Sequence,
  prompt: BlockIds,
  options: GenerateOptions,
): AsyncGenerator<WrittenBlock, void, void> {
  const { vocabulary } = model;
  const { codesPerPatch: N, visionStart, visionEnd, vocabSize } = vocabulary;
  const { stopIds = [vocabulary.eos], signal, blocksPerImage, lookupBlocks = 0 } = options;
  const { maxNewBlocks = ANY, maxNewTokens = ANY, minNewTokens = 0, room = ANY } = options;
  if (sequence.blocks.length > prompt.length)
    throw new Error(
      `The sequence has read ${sequence.length} blocks, more than the prompt's ${prompt.length / (N + 1)}`,
    );
  const sampler = readSampler(options, vocabulary);
  const imageSampler = readSampler({ ...options, ...options.images }, vocabulary);
  const isGuessing = lookupBlocks > 0 && isGreedy(sampler.sampling);
  const grammar = new BlockGrammar(vocabulary, options);
  const row: number[] = []; // the slots 0
  let start = -1; // block of the open image's vision_start
  for (let at = 0; at < prompt.length; at += N + 1) {
    const lead = prompt[at]!;
    grammar.accept(lead);
    if (lead === visionStart) start = row.length;
    row.push(lead);
  }
  const drawn: Int32Array[] = grammar.isInImage ? openImage(prompt, N, visionStart) : [];
  const checkFit = () => {
    if (blocksPerImage !== undefined) checkImageFits(row.length, blocksPerImage - drawn.length, room);
  };
  if (grammar.isInImage) checkFit();
  const mostWritten = Math.min(maxNewBlocks, room - row.length);
  let unread = prompt.subarray(sequence.blocks.length);
  for (let [written, tokens] = [0, 0]; written < mostWritten && (grammar.isInImage || tokens < maxNewTokens); ) {
    const mayStop = grammar.isInImage || tokens >= minNewTokens;
    const lead = mayStop ? grammar.lead() : grammar.lead().flatMap((range) => without(range, stopIds));
    const mayFollow = (id: number) => id !== visionStart && !stopIds.includes(id) && isAllowed(id, lead);
    const left = Math.min(mostWritten - written, maxNewTokens - tokens);
    const most = isGuessing && mayStop && !grammar.isInImage && sequence.isAlone ? Math.min(lookupBlocks, left - 1) : 0;
    const guess = lookUp(row, most, mayFollow);
    await sequence.read(joinIntegers([unread, ...guess.map((id) => textBlock(id, vocabulary))]), { signal });
    signal?.throwIfAborted();
    let blocks = grammar.isInImage ? forcedBlocks(drawn.length, mostWritten - written, options, vocabulary) : [];
    unread = joinIntegers(blocks);
    let scores: Float32Array | undefined;
    if (blocks.length === 0) {
      const onScores = (all: Float32Array) => {
        scores = all;
      };
      const chosenBy = {
        ...(grammar.isInImage ? imageSampler : sampler),
        block: written,
        ...(options.isScored && { onScores }),
      };
      blocks =
        guess.length > 0
          ? await confirmGuess(sequence, guess, lead, vocabulary)
          : [await writeBlock(sequence, lead, chosenBy, vocabulary)];
      unread = blocks.at(-1)!; // those before it were read as guesses
    }
    for (const ids of blocks) {
      const first = ids[0]!;
      const wasInImage = grammar.isInImage;
      grammar.accept(first);
      row.push(first);
      written++;
      if (!wasInImage && first !== visionStart) tokens++;
      if (first === visionStart) {
        start = sequence.length;
        drawn.length = 0;
        checkFit();
      }
      if (first >= vocabSize) {
        drawn.push(ids.slice(0, N));
        yield { ids, kind: "visual" };
      } else if (first === visionEnd && wasInImage) {
        // The image needs the state at its own end, so this block is read at once.
        await sequence.read(ids, { signal });
        unread = NOTHING;
        const hidden = sequence.hidden(start, sequence.length);
        const image = { ids: Int32Array.from(drawn.flatMap((block) => [...block])), hidden, isOwn: sequence.isOwn };
        yield drawn.length > 0 ? { ids, kind: "text", image } : { ids, kind: "text" };
      } else yield scores ? { ids, kind: "text", scores } : { ids, kind: "text" };
      if (stopIds.includes(first)) return;
      signal?.throwIfAborted();
    }
  }
}

const NOTHING: BlockIds = new Int32Array(0);
const ANY = Number.POSITIVE_INFINITY;

/** The forced blocks of an image from a position on, up to the next one that the model chooses. */
function forcedBlocks(
  position: number,
  most: number,
  { forced, blocksPerImage = ANY }: GenerateOptions,
  { qEos }: BlockVocabulary,
): BlockIds[] {
  const blocks: BlockIds[] = [];
  while (blocks.length < most && position + blocks.length < blocksPerImage) {
    const ids = forced?.(position + blocks.length);
    if (!ids) break;
    blocks.push(Int32Array.of(...Array.from(ids), qEos));
  }
  return blocks;
}

/** Blocks of an image that the prompt leaves open. */
function openImage(prompt: BlockIds, N: number, visionStart: number): Int32Array[] {
  const blocks = Array.from({ length: prompt.length / (N + 1) }, (_, t) => prompt.slice(t * (N + 1), t * (N + 1) + N));
  return blocks.slice(blocks.findLastIndex((block) => block[0] === visionStart) + 1);
}
