// The language loss of end-to-end tokenizer training: a plain Qwen3 reads text in which images stand as embeddings.

import { decoderStack } from "../../src/llm/decoder.ts";
import { finalNorm, outputMatrix } from "../../src/llm/output.ts";
import { rotary1d } from "../../src/nn/rotary.ts";
import type { Graph } from "../../src/tensor/graph.ts";
import { init } from "../../src/tensor/params.ts";
import { concat, type Tensor } from "../../src/tensor/tensor.ts";
import { crossEntropy } from "../../src/train/loss/cross-entropy.ts";
import { IGNORED } from "../../src/train/loss/labels.ts";
import { segmentMask, segmentPositions } from "../../src/train/segments.ts";
import type { Qwen3Config } from "./qwen3-config.ts";

export interface CaptionRow {
  readonly config: Qwen3Config;
  /** Stands once in `ids` for each embedding. */
  readonly imageTokenId: number;
  /** [T]; negative ids count as 0. */
  readonly ids: readonly number[];
  /** [T], before the shift; -100 where nothing is to be predicted. */
  readonly labels: readonly number[];
  /** 0, the ends of the packed samples, T */
  readonly boundaries: readonly number[];
}

export interface CaptionLoss {
  /** [1, T, V] */
  readonly logits: Tensor;
  /** [T] in nats, 0 where nothing is to be predicted. */
  readonly perToken: Tensor;
  /** [] their mean over what is to be predicted. */
  readonly loss: Tensor;
}

/** images [M, D] take the places of the image tokens in order. */
export function captionLoss(graph: Graph, images: Tensor, row: CaptionRow): CaptionLoss {
  const { config, ids, labels, boundaries } = row;
  const { embed_dim: D, vocab_size: V, head_dim: E } = config;
  const T = ids.length;
  const trunk = graph.params.at("model", "model");
  const table = trunk.at("tok_embeddings").get("weight", [V, D], init.normal(0.02));
  const text = table.gather(
    indices(
      graph,
      ids.map((id) => (id === row.imageTokenId ? 0 : Math.max(id, 0))),
    ),
  );
  const x = concat([text, images], 0).gather(indices(graph, places(ids, row.imageTokenId, images.size(0)))); // [T, D]
  const rope = rotary1d(segmentPositions(boundaries), E, config.rope_base);
  const { hidden } = decoderStack(trunk, x.reshape([1, T, D]), {
    config,
    cos: graph.constant(rope.cos, [T, E / 2]),
    sin: graph.constant(rope.sin, [T, E / 2]),
    mask: graph.constant(segmentMask(boundaries), [T, T]),
  });
  const matrix = config.tie_word_embeddings ? table : outputMatrix(trunk.at("output"), V, D);
  const logits = finalNorm(trunk, hidden.at(-1)!, config.norm_eps).linear(matrix);
  const targets = [...labels.slice(1), IGNORED];
  const counted = targets.map((label) => (label === IGNORED ? 0 : 1));
  const losses = crossEntropy(
    logits.reshape([T, V]),
    indices(
      graph,
      targets.map((label) => Math.max(label, 0)),
    ),
  );
  const perToken = losses.mul(graph.constant(counted, [T]));
  return { logits, perToken, loss: perToken.sum([0]).div(counted.filter(Boolean).length) };
}

/** Rows of [text; images] in reading order: the text's own, and at image tokens the next image's. */
function places(ids: readonly number[], imageTokenId: number, M: number): number[] {
  let next = ids.length;
  const rows = ids.map((id, t) => (id === imageTokenId ? next++ : t));
  if (next - ids.length !== M) throw new Error(`${next - ids.length} image tokens stand for ${M} merged positions`);
  return rows;
}

function indices(graph: Graph, values: readonly number[]): Tensor {
  return graph.constant(Int32Array.from(values), [values.length]);
}
