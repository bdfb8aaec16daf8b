// Blocks become one input vector each: the sum of the embeddings of a block's sub-tokens before its first q_eos.
// The same sub-token embeddings, not summed, are what the token head is fed when it is trained.

import { init, type Params } from "../tensor/params.ts";
import type { Tensor } from "../tensor/tensor.ts";

export interface BlockEmbeddings {
  /** [B, T, N, D] */
  readonly groups: Tensor;
  /** [B, T, D] */
  readonly inputs: Tensor;
}

/** The table of all text and visual entries, [V+S, D]. `p` is its own path. */
export function embeddingTable(p: Params, entries: number, width: number): Tensor {
  return p.get("weight", [entries, width], init.normal(0.02));
}

/**
 * table [V+S, D], index i32 [B, T, N] and weight [B, T, N] as of blockInputs. `frozen` [B, T, N] is 1 where the padding
 * entry is looked up: those rows give their value and get no gradient. Only training needs it.
 */
export function embedBlocks(table: Tensor, index: Tensor, weight: Tensor, frozen?: Tensor): BlockEmbeddings {
  const [B, T, N] = index.dims(3);
  const found = table.gather(index); // [B, T, N, D]
  const column = (x: Tensor) => x.reshape([B!, T!, N!, 1]);
  const groups = frozen
    ? found.sub(found.sub(found.stopGradient()).mul(column(frozen))) // the difference is 0; its gradient takes the row's away
    : found;
  return { groups, inputs: groups.mul(column(weight)).sum([2]) };
}
