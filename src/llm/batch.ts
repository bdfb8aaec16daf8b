// What the scheduler runs: one run of a graph for several sequences at once. They lie side by side and never see each other:
// each has a slot of the cache and rows of its own in every other tensor.

import { ModelError } from "../errors.ts";
import { rotary1d } from "../nn/rotary.ts";
import { f32, type HostTensor, hostTensor, i32, joinFloats } from "../runtime/host-tensor.ts";
import { blockInputs } from "../sequence/blocks.ts";
import { type BlockIds, blockCount, bookRange, slotsPerBlock } from "../sequence/layout.ts";
import type { CacheArena } from "./cache.ts";
import { candidateCount, drawFeeds, type VisualDraw } from "./generation-graphs.ts";
import type { LanguageModel } from "./language-model.ts";
import { cacheMask } from "./mask.ts";
import type { Sequence } from "./sequence.ts";

/** Blocks [S, N+1] that a sequence reads; S may differ among the sequences of a run. */
export interface Reading {
  readonly sequence: Sequence;
  readonly blocks: BlockIds;
}

/** Reads blocks of several sequences in one run. For each the error why it could not be read, or undefined. */
export async function readTogether(
  model: LanguageModel,
  arena: CacheArena,
  readings: readonly Reading[],
): Promise<(ModelError | undefined)[]> {
  const { config, vocabulary } = model;
  const { n_q_tokens: N, head_dim: E, embed_dim: D, num_kv_heads: K, num_layers, rope_base } = config.qwen;
  const session = await model.session("trunk");
  const counts = readings.map(({ blocks }) => blockCount(blocks, vocabulary));
  const S = Math.max(...counts);
  const { feeds, n: B, capacity: C, slots } = arena.load(readings.map(({ sequence }) => sequence.rows));
  const padding = new Int32Array(S * slotsPerBlock(vocabulary)).fill(vocabulary.qEos);
  const blocks = Array<BlockIds>(B).fill(padding);
  const lengths = Array.from({ length: B }, () => ({ length: 0, count: 0 }));
  for (const [i, { sequence, blocks: own }] of readings.entries()) {
    const padded = padding.slice();
    padded.set(own);
    blocks[slots[i]!] = padded;
    lengths[slots[i]!] = { length: sequence.length, count: counts[i]! };
  }
  const { index, weight } = blockInputs(joinIds(blocks), vocabulary);
  const rope = rotary1d(
    lengths.flatMap(({ length }) => Array.from({ length: S }, (_, t) => length + t)),
    E,
    rope_base,
  );
  const results = await session.run({
    index: i32(index, [B, S, N]),
    weight: f32(weight, [B, S, N]),
    cos: f32(rope.cos, [B * S, E / 2]),
    sin: f32(rope.sin, [B * S, E / 2]),
    rows: hostTensor(
      "i64",
      BigInt64Array.from({ length: B * S }, (_, i) => BigInt(i)),
      [B, S],
    ),
    mask: f32(cacheMask(lengths, S, C), [B, 1, 1, S, C + S]),
    ...feeds,
  });
  const hidden = values(results.hidden); // [B, S, D]
  const added = values(results.added); // [2*layers*B, K, 1, S, E]
  return readings.map(({ sequence, blocks }, i) => {
    const [b, count] = [slots[i]!, counts[i]!];
    const states = hidden.subarray(b * S * D, (b * S + count) * D);
    // NaN and infinity spread to the last row of any that they are in; argmax would take them for the first id.
    if (!states.subarray(-D).every(Number.isFinite))
      return new ModelError("the language model's hidden states are not finite: its weights are damaged");
    // Alone, a sequence keeps the results as they are; among others, a copy of its own.
    const data = B === 1 ? added : ownRows(added, b, B, 2 * num_layers, K * S * E);
    sequence.append(blocks, { data, T: S, start: 0, count }, B === 1 ? states : states.slice());
    return undefined;
  });
}

/** Of [arrays, B, size] those of one b: [arrays, size]. */
export function ownRows(all: Float32Array, b: number, B: number, arrays: number, size: number): Float32Array {
  const own = new Float32Array(arrays * size);
  for (let i = 0; i < arrays; i++) own.set(all.subarray((i * B + b) * size, (i * B + b + 1) * size), i * size);
  return own;
}

/** For each sequence the scores [V] of the text that may follow each of its last `count` blocks. */
export async function scoreTogether(
  model: LanguageModel,
  wanted: readonly { readonly sequence: Sequence; readonly count: number }[],
): Promise<Float32Array[][]> {
  const V = model.vocabulary.vocabSize;
  const session = await model.session("text");
  const { logits } = await session.run({ hidden: lastHidden(model, wanted) });
  let at = 0;
  return wanted.map(({ count }) => Array.from({ length: count }, () => values(logits).subarray(at * V, ++at * V)));
}

/** For each sequence the ids [N] of its next visual block, or undefined where the image ends. All have as many candidates. */
export async function drawTogether(
  model: LanguageModel,
  wanted: readonly { readonly sequence: Sequence; readonly draw: VisualDraw }[],
): Promise<(Int32Array | undefined)[]> {
  const { vocabulary } = model;
  const [N, B] = [vocabulary.codesPerPatch, wanted.length];
  const session = await model.session("image");
  const draws = wanted.map(({ draw }) => draw);
  const hidden = lastHidden(model, wanted);
  const { ids } = await session.run({ hidden, ...drawFeeds(draws, candidateCount(draws[0]!, vocabulary), N) });
  const drawn = ids!.data as Int32Array; // [N, B]
  const [, end] = bookRange(0, vocabulary);
  return wanted.map((_, b) =>
    drawn[b] === end ? undefined : Int32Array.from({ length: N }, (_, i) => drawn[i * B + b]!),
  );
}

/** Hidden states of each sequence's last `count` blocks, or its last one: [R, D]. */
function lastHidden(
  { config }: LanguageModel,
  wanted: readonly { readonly sequence: Sequence; readonly count?: number }[],
): HostTensor {
  const D = config.qwen.embed_dim;
  const hidden = joinFloats(
    wanted.map(({ sequence: { length }, sequence, count = 1 }) => sequence.hidden(length - count, length)),
  );
  return f32(hidden, [hidden.length / D, D]);
}

function joinIds(parts: readonly BlockIds[]): BlockIds {
  const all = new Int32Array(parts.reduce((sum, { length }) => sum + length, 0));
  let at = 0;
  for (const part of parts) {
    all.set(part, at);
    at += part.length;
  }
  return all;
}

/** A float result's values. */
function values(tensor: HostTensor | undefined): Float32Array {
  return tensor!.data as Float32Array;
}
