// Parity of the plain decoder: hidden states, logits at given and at default positions, the same through the cache,
// and the gradients of the next-token loss.

import { ownRows } from "../../src/llm/batch.ts";
import { CacheArena, type CacheRows, cacheInput } from "../../src/llm/cache.ts";
import { type Decoded, decoderStack } from "../../src/llm/decoder.ts";
import { embeddingTable } from "../../src/llm/embedding.ts";
import { cacheMask } from "../../src/llm/mask.ts";
import { finalNorm, outputMatrix } from "../../src/llm/output.ts";
import type { KeyValue } from "../../src/nn/attention.ts";
import { rotary1d } from "../../src/nn/rotary.ts";
import { f32, type HostTensor, i32 } from "../../src/runtime/host-tensor.ts";
import { openSession, type WeightSource } from "../../src/runtime/session.ts";
import { addDims, type Dim } from "../../src/tensor/dims.ts";
import { Graph } from "../../src/tensor/graph.ts";
import { concat, type Tensor } from "../../src/tensor/tensor.ts";
import { crossEntropy } from "../../src/train/loss/cross-entropy.ts";
import { IGNORED } from "../../src/train/loss/labels.ts";
import { segmentMask } from "../../src/train/segments.ts";
import { type ParityCase, skipUnknown } from "./case.ts";
import { compute } from "./compute.ts";
import { input, numbers } from "./input.ts";
import { outputGradients } from "./output-gradients.ts";
import { parseQwen3Config, type Qwen3Config } from "./qwen3-config.ts";

export const qwen3Case: ParityCase = {
  matches: (config) => "embed_dim" in config && "num_kv_heads" in config,

  async run(folder) {
    const config = parseQwen3Config(folder.config, undefined, skipUnknown);
    const tokens = input(folder, "tokens");
    const [B, T] = tokens.shape as [number, number];
    const ids = numbers(tokens);
    const positions = numbers(input(folder, "input_pos"));

    const graph = new Graph();
    const { hidden, logits } = trace(graph, [B, T], config);
    hidden.forEach((x, l) => {
      graph.output(`hidden_${l}`, x);
    });
    graph.output("final_norm", finalNorm(graph.params.at("model"), hidden.at(-1)!, config.norm_eps));
    graph.output("logits", logits);
    if (folder.inputs.has("labels")) {
      const loss = shiftedLoss(graph, logits, numbers(input(folder, "labels")));
      graph.output("loss_shifted", loss);
      outputGradients(graph, loss, folder.outputsPresent, "grad.");
    }
    const run = (at: readonly number[]) =>
      compute(graph, folder.weights, feeds(ids, at, [B, T], segmentMask([0, T]), config));
    const results = await run(positions);
    const plain = await run(ids.map((_, i) => i % T));
    results.set("logits_default_positions", plain.get("logits")!);
    results.set("logits_cached", await cachedLogits(folder.weights, ids, positions, [B, T], config));
    return results;
  },

  tolerance: (name) => ({ relative: name.startsWith("grad.") ? 1e-4 : 2e-5 }),
};

/** ids [B, T] -> logits [B, T, V], with the caches' inputs if there are any. */
function trace(
  graph: Graph,
  [B, T]: readonly [number, Dim],
  config: Qwen3Config,
  cache?: { readonly rows: readonly KeyValue[]; readonly room: Dim },
): Decoded & { readonly logits: Tensor } {
  const p = graph.params.at("model");
  const { vocab_size: V, embed_dim: D, head_dim: E } = config;
  const table = embeddingTable(p.at("tok_embeddings"), V, D);
  const decoded = decoderStack(p, table.gather(graph.input("ids", [B, T], "i32")), {
    config,
    cos: graph.input("cos", [B, T, E / 2]),
    sin: graph.input("sin", [B, T, E / 2]),
    mask: graph.input("mask", [T, cache ? addDims(cache.room, T) : T]),
    ...(cache && { cache: cache.rows }),
  });
  const matrix = config.tie_word_embeddings ? table : outputMatrix(p.at("output"), V, D);
  return { ...decoded, logits: finalNorm(p, decoded.hidden.at(-1)!, config.norm_eps).linear(matrix) };
}

function feeds(
  ids: readonly number[],
  positions: readonly number[],
  [B, T]: readonly [number, number],
  mask: Float32Array,
  config: Qwen3Config,
): Record<string, HostTensor> {
  const rope = rotary1d(positions, config.head_dim, config.rope_base);
  const angles = [B, T, config.head_dim / 2];
  return {
    ids: i32(ids, [B, T]),
    cos: f32(rope.cos, angles),
    sin: f32(rope.sin, angles),
    mask: f32(mask, [T, mask.length / T]),
  };
}

/** Mean cross entropy of each position's successor. */
function shiftedLoss(graph: Graph, logits: Tensor, labels: readonly number[]): Tensor {
  const [B, T, V] = logits.shape as [number, number, number];
  const targets = labels.map((_, i) => (i % T === T - 1 ? IGNORED : labels[i + 1]!));
  const count = targets.filter((label) => label !== IGNORED).length;
  const losses = crossEntropy(
    logits.reshape([B * T, V]),
    graph.constant(
      Int32Array.from(targets, (label) => Math.max(label, 0)),
      [B * T],
    ),
  );
  return losses
    .mul(
      graph.constant(
        targets.map((label) => (label === IGNORED ? 0 : 1 / count)),
        [B * T],
      ),
    )
    .sum([0]);
}

/** The logits again by a prefill of about half the row and single steps after it. */
async function cachedLogits(
  weights: WeightSource,
  ids: readonly number[],
  positions: readonly number[],
  [B, T]: readonly [number, number],
  config: Qwen3Config,
): Promise<HostTensor> {
  const { num_layers: layers, num_kv_heads: K, head_dim: E, vocab_size: V } = config;
  const graph = new Graph();
  const row = [B, K, 1, "C", E];
  const rows = Array.from({ length: layers }, (_, l) => ({
    keys: graph.input(cacheInput(2 * l), row),
    values: graph.input(cacheInput(2 * l + 1), row),
  }));
  const { logits, added } = trace(graph, [B, "S"], config, { rows, room: "C" });
  graph.output("logits", logits);
  graph.output(
    "added",
    concat(
      added.flatMap(({ keys, values }) => [keys, values]),
      0,
    ),
  );
  const arena = new CacheArena({ layers, heads: K, width: E }, 2 ** 30);
  const read = Array.from({ length: B }, (): CacheRows[] => []);
  const out = new Float32Array(B * T * V);
  const session = await openSession(graph, weights);
  try {
    for (let t = 0; t < T; ) {
      const S = t === 0 ? Math.ceil(T / 2) : 1;
      const part = (values: readonly number[]) =>
        Array.from({ length: B * S }, (_, i) => values[Math.floor(i / S) * T + t + (i % S)]!);
      const cache = arena.load(read.map((rows) => ({ rows, length: t })));
      const mask = cacheMask([{ length: t, count: S }], S, cache.capacity);
      const step = await session.run({ ...feeds(part(ids), part(positions), [B, S], mask, config), ...cache.feeds });
      const added = step.added!.data as Float32Array;
      for (const [b, rows] of read.entries())
        rows.push({ data: ownRows(added, b, B, 2 * layers, K * S * E), T: S, start: 0, count: S });
      const found = step.logits!.data as Float32Array;
      for (let b = 0; b < B; b++) out.set(found.subarray(b * S * V, (b + 1) * S * V), (b * T + t) * V);
      t += S;
    }
  } finally {
    await session.release();
  }
  return f32(out, [B, T, V]);
}
