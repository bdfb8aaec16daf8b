// The scores of one slot over all entries, as the reference computes them: the plain form that generation's graphs are held to.

import type { LanguageModelConfig } from "../llm/config.ts";
import { headParts, type MatrixName } from "../llm/generation-graphs.ts";
import type { LanguageModel } from "../llm/language-model.ts";
import type { Sequence } from "../llm/sequence.ts";
import { teacherForced, tokenHead } from "../llm/token-head.ts";
import { f32, i32 } from "../runtime/host-tensor.ts";
import type { Graph } from "../tensor/graph.ts";

/** Scores [V+S] of slot i of a sequence's next block, given the ids of its slots before. */
export async function scoreSlot(
  model: LanguageModel,
  sequence: Sequence,
  before: readonly number[],
): Promise<Float32Array> {
  const N = model.vocabulary.codesPerPatch;
  const ids = Int32Array.from({ length: Math.max(N - 1, 1) }, (_, j) => before[j] ?? 0);
  const session = await model.session("slot", traceSlot);
  const hidden = sequence.hidden(sequence.length - 1, sequence.length);
  const { logits } = await session.run({
    hidden: f32(hidden, [1, hidden.length]),
    ids: i32(ids, [ids.length]),
    slot: i32([before.length], [1]),
  });
  return logits!.data as Float32Array;
}

/** hidden [1, D], the block's sub-tokens so far i32 [N-1], slot i32 [1] -> logits [1, V+S] of that slot over all entries. */
function traceSlot(graph: Graph, config: LanguageModelConfig, matrix: MatrixName): void {
  const { n_q_tokens: N, embed_dim: D } = config.qwen;
  const hidden = graph.input("hidden", [1, D]);
  const ids = graph.input("ids", [Math.max(N - 1, 1)], "i32");
  const slot = graph.input("slot", [1], "i32");
  const { head, table, rows, score } = headParts(graph.params, config, matrix);
  // All slots at once: later ones cannot reach earlier ones, so what stands in them does not matter.
  const fed = N === 1 ? hidden.reshape([1, 1, D]) : teacherForced(hidden, table.gather(ids).reshape([1, N - 1, D]));
  const { output } = tokenHead(head, fed, config.head);
  graph.output("logits", score(output.reshape([-1, D]).gather(slot), rows));
}
