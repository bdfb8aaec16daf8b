// Training of a plain Qwen3 decoder: 4 layers of width 512, two rows of 256 tokens.

import { decoderStack } from "../../src/llm/decoder.ts";
import { embeddingTable } from "../../src/llm/embedding.ts";
import { finalNorm, outputMatrix } from "../../src/llm/output.ts";
import { rotary1d } from "../../src/nn/rotary.ts";
import { counterRandom } from "../../src/random/counter.ts";
import { f32, i32 } from "../../src/runtime/host-tensor.ts";
import type { Values } from "../../src/runtime/session.ts";
import type { Graph } from "../../src/tensor/graph.ts";
import { linearCrossEntropy } from "../../src/train/loss/cross-entropy.ts";
import { segmentMask } from "../../src/train/segments.ts";
import type { TracedLoss } from "../../src/train/train-graph.ts";
import { parseQwen3Config, type Qwen3Config } from "../parity/qwen3-config.ts";
import type { Benchmark } from "./benchmark.ts";
import { openTraining } from "./training.ts";

const [B, T] = [2, 256] as const;

const config = parseQwen3Config({
  vocab_size: 4096,
  embed_dim: 512,
  num_layers: 4,
  num_heads: 8,
  num_kv_heads: 4,
  head_dim: 64,
  intermediate_dim: 1536,
  rope_base: 1e6,
  tie_word_embeddings: false,
});

export const qwen3Training: Benchmark = {
  name: "train-qwen3-h512-l4-s256-b2",
  about: "Qwen3 decoder: width 512, 4 layers, 8 heads and 4 KV heads of 64, ff 1536, vocabulary 4096; batch 2 x 256",
  open: (options) =>
    openTraining(
      { trace: (graph) => traceNextToken(graph, config), feeds: batch(config), units: { tokens: B * T } },
      options,
    ),
};

/** Mean cross entropy of each token's successor; the last position of a row has none and counts nothing. */
function traceNextToken(graph: Graph, qwen: Qwen3Config): TracedLoss {
  const p = graph.params.at("model");
  const { vocab_size: V, embed_dim: D, head_dim: E } = qwen;
  const embedded = embeddingTable(p.at("tok_embeddings"), V, D).gather(graph.input("ids", [B, T], "i32"));
  const angles = [T, E / 2];
  const { hidden } = decoderStack(p, embedded, {
    config: qwen,
    cos: graph.input("cos", angles),
    sin: graph.input("sin", angles),
    mask: graph.input("mask", [T, T]),
  });
  const normed = finalNorm(p, hidden.at(-1)!, qwen.norm_eps).reshape([B * T, D]);
  const matrix = outputMatrix(p.at("output"), V, D);
  const losses = linearCrossEntropy(normed, matrix, graph.input("labels", [B * T], "i32"));
  return { loss: losses.mul(graph.input("weights", [B * T])).sum([0]) };
}

function batch({ vocab_size: V, head_dim: E, rope_base }: Qwen3Config): Values {
  const random = counterRandom(0, "tokens");
  const ids = Int32Array.from({ length: B * T }, (_, i) => random.integer(i, V));
  const rope = rotary1d(
    Array.from({ length: T }, (_, t) => t),
    E,
    rope_base,
  );
  const isLast = (i: number) => i % T === T - 1;
  return {
    ids: i32(ids, [B, T]),
    cos: f32(rope.cos, [T, E / 2]),
    sin: f32(rope.sin, [T, E / 2]),
    mask: f32(segmentMask([0, T]), [T, T]),
    labels: i32(
      ids.map((_, i) => (isLast(i) ? 0 : ids[i + 1]!)),
      [B * T],
    ),
    weights: f32(
      Float32Array.from(ids, (_, i) => (isLast(i) ? 0 : 1 / (B * (T - 1)))),
      [B * T],
    ),
  };
}
