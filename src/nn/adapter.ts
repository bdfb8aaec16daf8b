// Low-rank adapters (LoRA, arXiv:2106.09685): beside a linear map W x stands scale * B (A x), with A [r, in] and B [out, r]. W stays
// as it is. Names below the map's path are those of PEFT.

import type { AdaptLinear } from "../tensor/graph.ts";
import { init } from "../tensor/params.ts";

export interface LowRank {
  readonly rank: number;
  /** alpha / rank */
  readonly scale: number;
}

/** Adapts the linear maps for whose path `find` knows a rank. A starts as PEFT draws it and B as zeros, which changes nothing. */
export function lowRankAdapters(find: (path: string) => LowRank | undefined): AdaptLinear {
  return (p, x, y) => {
    const found = find(p.path);
    if (!found) return y;
    const { rank, scale } = found;
    const width = x.size(-1);
    const a = p.at("lora_A").get("weight", [rank, width], init.uniform(1 / Math.sqrt(width)));
    const b = p.at("lora_B").get("weight", [y.size(-1), rank], init.zeros);
    return y.add(x.linear(a).linear(b).mul(scale));
  };
}
