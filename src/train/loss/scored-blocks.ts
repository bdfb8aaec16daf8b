// The whole language model as training reads it: packed rows in, and the token head on the scored positions, fed the true block after each.

import type { LanguageModelConfig } from "../../llm/config.ts";
import { languageModelPaths, readBlocks } from "../../llm/model.ts";
import { finalNorm, outputMatrix } from "../../llm/output.ts";
import { teacherForced, tokenHead } from "../../llm/token-head.ts";
import type { Graph } from "../../tensor/graph.ts";
import type { Params } from "../../tensor/params.ts";
import type { Tensor } from "../../tensor/tensor.ts";
import { packedTables } from "../row-tables.ts";

/**
 * The token head on Q positions, fed the block after each: positions and next i32 [Q] count in the flattened [B*T].
 * -> what goes in and what comes out, [Q, N+1, D] each.
 */
export function predictNextBlocks(
  root: Params,
  { embeddings, decoded }: ReturnType<typeof readBlocks>,
  positions: Tensor,
  next: Tensor,
  { head }: LanguageModelConfig,
): { readonly input: Tensor; readonly output: Tensor } {
  const hidden = decoded.hidden.at(-1)!;
  const D = hidden.dim(-1);
  const [, , N] = embeddings.groups.dims(4);
  const groups = embeddings.groups.reshape([-1, N!, D]).gather(next); // [Q, N, D]
  const input = teacherForced(hidden.reshape([-1, D]).gather(positions), groups);
  return { input, output: tokenHead(languageModelPaths(root).head, input, head).output };
}

/** Sizes of a graph over B packed rows of T blocks, of which Q are scored. */
export interface ScoredSizes {
  /** 1 if absent. */
  readonly rows?: number;
  readonly blocks: number;
  readonly scoredBlocks: number;
}

/**
 * The whole model with the true block after each scored one. Declares every parameter that training has.
 * -> the head's results after the final norm [Q, N+1, D], and the output matrix [V+S, D].
 */
export function traceScored(
  graph: Graph,
  config: LanguageModelConfig,
  { rows: B = 1, blocks: T, scoredBlocks: Q }: ScoredSizes,
) {
  const { qwen } = config;
  const groups = [B, T, qwen.n_q_tokens];
  const read = readBlocks(
    graph.params,
    {
      index: graph.input("index", groups, "i32"),
      weight: graph.input("weight", groups),
      frozen: graph.input("frozen", groups),
      ...packedTables(graph, B, T, qwen),
    },
    config,
  );
  const [positions, next] = [graph.input("positions", [Q], "i32"), graph.input("next", [Q], "i32")];
  const { output } = predictNextBlocks(graph.params, read, positions, next, config);
  const { trunk, lmHead } = languageModelPaths(graph.params);
  const matrix = outputMatrix(lmHead, qwen.vocab_size + qwen.codebook_size, qwen.embed_dim);
  return { output: finalNorm(trunk, output, qwen.norm_eps), matrix };
}
