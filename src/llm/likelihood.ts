// How likely a model holds blocks that are given: each sub-token is scored from what was read before it and, inside a visual block,
// from the block's own sub-tokens before it. The log-probabilities are those of the training loss, over all entries.

import { f32, i32 } from "../runtime/host-tensor.ts";
import { type BlockIds, isVisual, slotsPerBlock } from "../sequence/layout.ts";
import type { LanguageModel } from "./language-model.ts";
import type { Sequence } from "./sequence.ts";

/** Sub-tokens that one run scores at most: each has a row of all entries' scores, 0.9 MB for the released vocabulary. */
const LABELS_PER_RUN = 64;

/**
 * Reads the row [T, N+1] and scores its blocks from `start` (at least 1) up to `end`: for a block of text one log-probability,
 * that of its id, for a visual block N, one for each of its codes' ids.
 */
export async function scoreBlocks(
  model: LanguageModel,
  sequence: Sequence,
  { row, start, end }: { readonly row: BlockIds; readonly start: number; readonly end: number },
  signal?: AbortSignal,
): Promise<number[][]> {
  const { vocabulary } = model;
  const slots = slotsPerBlock(vocabulary);
  const N = vocabulary.codesPerPatch;
  await sequence.read(row.subarray(sequence.blocks.length), { signal });
  const session = await model.session("likelihood");
  const scored: number[][] = [];
  const perRun = Math.max(1, Math.floor(LABELS_PER_RUN / N));
  for (let from = start; from < end; from += perRun) {
    signal?.throwIfAborted();
    const to = Math.min(from + perRun, end);
    const fed = new Int32Array((to - from) * Math.max(N - 1, 1));
    const places: number[] = [];
    const labels: number[] = [];
    const counts: number[] = [];
    for (let t = from; t < to; t++) {
      const block = row.subarray(t * slots, (t + 1) * slots);
      const count = isVisual(block[0]!, vocabulary) ? N : 1;
      for (let i = 0; i < count; i++) {
        places.push((t - from) * N + i);
        labels.push(block[i]!);
        if (i < N - 1) fed[(t - from) * (N - 1) + i] = block[i]!;
      }
      counts.push(count);
    }
    const { logProbabilities } = await session.run({
      hidden: f32(sequence.hidden(from - 1, to - 1), [to - from, model.config.qwen.embed_dim]),
      ids: i32(fed, [to - from, Math.max(N - 1, 1)]),
      places: i32(Int32Array.from(places), [places.length]),
      labels: i32(Int32Array.from(labels), [labels.length]),
    });
    const values = Array.from(logProbabilities!.data as Float32Array);
    for (const count of counts) scored.push(values.splice(0, count));
  }
  return scored;
}
