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
  const slots = slotsPerBlock(vocabulary);
  const counts = readings.map(({ blocks }) => blockCount(blocks, vocabulary));
  const S = Math.max(...counts);
  const { feeds, n: B, capacity: C, slots: places } = arena.load(readings.map(({ sequence }) => sequence));
  if (B > 1) joinCompany(readings);
  // What lies between, and what is shorter than the longest, is filled up with blocks that nobody sees.
  const blocks = new Int32Array(B * S * slots).fill(vocabulary.qEos);
  const positions = new Int32Array(B * S);
  const lengths = Array<{ length: number; count: number }>(B).fill({ length: 0, count: 0 });
  for (const [i, { sequence, blocks: own }] of readings.entries()) {
    const b = places[i]!;
    blocks.set(own, b * S * slots);
    for (let t = 0; t < S; t++) positions[b * S + t] = sequence.length + t;
    lengths[b] = { length: sequence.length, count: counts[i]! };
  }
  const { index, weight } = blockInputs(blocks, vocabulary);
  const rope = rotary1d(positions, E, rope_base);
  const results = await session.run({
    index: i32(index, [B, S, N]),
    weight: f32(weight, [B, S, N]),
    cos: f32(rope.cos, [B * S, E / 2]),
    sin: f32(rope.sin, [B * S, E / 2]),
    rows: hostTensor("i64", countingUp(B * S), [B, S]),
    mask: f32(cacheMask(lengths, S, C), [B, 1, 1, S, C + S]),
    ...feeds,
  });
  const hidden = values(results.hidden); // [B, S, D]
  const added = values(results.added); // [2*layers*B, K, 1, S, E]
  return readings.map(({ sequence, blocks }, i) => {
    const [b, count] = [places[i]!, counts[i]!];
    const states = hidden.subarray(b * S * D, (b * S + count) * D);
    // NaN and infinity spread to the last row of any that they are in; argmax would take them for the first id.
    if (!areFinite(states, states.length - D))
      return new ModelError("the language model's hidden states are not finite: its weights are damaged");
    // A long piece that was read alone is kept as it came. Of others the sequence has a copy of its own, also of single blocks: many
    // small results of the runtime's are slow to collect.
    const isKept = B === 1 && S > 1;
    const data = isKept ? added : ownRows(added, b, B, 2 * num_layers, K * S * E);
    sequence.append(blocks, { data, T: S, start: 0, count }, isKept ? states : states.slice());
    return undefined;
  });
}

function joinCompany(group: readonly { readonly sequence: Sequence }[]): void {
  for (const { sequence } of group) sequence.joinCompany();
}

function areFinite(values: Float32Array, from: number): boolean {
  let sum = 0;
  for (let i = from; i < values.length; i++) sum += values[i]! * 0;
  return sum === 0;
}

/** 0, 1, 2, .., made once for a length: BigInts are slow to make. */
function countingUp(length: number): BigInt64Array {
  if (length > counted.length) counted = BigInt64Array.from({ length }, (_, i) => BigInt(i));
  return counted.subarray(0, length);
}
let counted = new BigInt64Array(0);

/** Of [arrays, B, size] those of one b: [arrays, size]. */
export function ownRows(all: Float32Array, b: number, B: number, arrays: number, size: number): Float32Array {
  if (B === 1) return all.slice();
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
  if (wanted.length > 1) joinCompany(wanted);
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
  if (B > 1) joinCompany(wanted);
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

/** A float result's values. */
function values(tensor: HostTensor | undefined): Float32Array {
  return tensor!.data as Float32Array;
}
