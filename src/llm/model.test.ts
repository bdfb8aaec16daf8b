import { describe, expect, test } from "vitest";
import { largestDifference, randomTensor, randomWeights, runOnce } from "../../test/random-weights.ts";
import type { KeyValue } from "../nn/attention.ts";
import { i32 } from "../runtime/host-tensor.ts";
import { expandRow } from "../sequence/blocks.ts";
import { Graph } from "../tensor/graph.ts";
import { concat } from "../tensor/tensor.ts";
import { gradients } from "../train/autodiff/gradients.ts";
import { supervisedRows } from "../train/loss/block-loss.ts";
import { traceLanguageModelLoss, trainingFeeds } from "../train/loss/language-model-loss.ts";
import { blockVocabulary, parseKeyeArConfig, tokenHeadConfigSchema, unifiedQwen3ConfigSchema } from "./config.ts";
import { cacheMask, HIDDEN } from "./mask.ts";
import { tokenHead } from "./token-head.ts";

const qwen = {
  vocab_size: 40,
  embed_dim: 12,
  num_layers: 2,
  num_heads: 4,
  num_kv_heads: 2,
  head_dim: 4,
  intermediate_dim: 16,
  rope_base: 1e6,
  tie_word_embeddings: false,
  eos_token_id: 39,
  vision_start_token_id: 38,
  vision_end_token_id: 37,
  image_token_id: 36,
  pad_token_id: 35,
  q_eos_token: 34,
  codebook_size: 12,
  n_q_tokens: 3,
};
const head = {
  d_model: 8,
  nhead: 2,
  num_layers: 2,
  dim_feedforward: 10,
  max_length: 4,
  max_pos_length: 6,
  eos_token: 34,
  input_dim: 12,
};
const config = { qwen: unifiedQwen3ConfigSchema.parse(qwen), head: tokenHeadConfigSchema.parse(head) };

test("masks hide the future and unused room", () => {
  const two = [0, HIDDEN, 0, HIDDEN, 0, HIDDEN, 0, 0]; // of 2 positions behind 1, in room for 2
  const one = [0, 0, 0, HIDDEN, HIDDEN, HIDDEN, HIDDEN, 0]; // of 1 position behind 2, and one that is none
  const sequences = [
    { length: 1, count: 2 },
    { length: 2, count: 1 },
  ];
  expect([...cacheMask(sequences, 2, 2)]).toEqual([...two, ...one]);
});

test("the token head one slot at a time gives what it gives for all slots at once", async () => {
  const graph = new Graph();
  const s = graph.input("s", [2, 4, 12]);
  graph.output("whole", tokenHead(graph.params, s, config.head).output);
  let past: readonly KeyValue[] | undefined;
  const slots = s.split(1, [1, 2, 1]).map((part) => {
    const result = tokenHead(graph.params, part, config.head, past);
    past = result.slots;
    return result.output;
  });
  graph.output("parts", concat(slots, 1));
  const { whole, parts } = await runOnce(graph, { ...randomWeights(graph), s: randomTensor([2, 4, 12]) });
  expect(largestDifference(whole!, parts!)).toBeLessThan(1e-5);
});

describe("training", () => {
  const vocabulary = blockVocabulary(config.qwen);
  // Two samples; pad (35) is read, drawn and predicted.
  const row = {
    blocks: expandRow([1, 38, 36, 36, 37, 35, 2, 35, 3, 35], [40, 44, 48, 43, 47, 51], vocabulary),
    lossMask: [0, 0, 1, 1, 1, 1, 0, 1, 1, 1],
    cuSegments: [0, 6, 10],
  };

  async function run(sizes: { blocks: number; scoredBlocks: number; labels: number }, change = row) {
    const graph = new Graph();
    const { loss } = traceLanguageModelLoss(graph, config, sizes);
    const table = graph.parameters.get("model.model.tok_embeddings.embed_tokens.weight")!.tensor;
    graph.output("loss", loss);
    graph.output("slope", gradients(loss, [table])[0]!);
    const { feeds } = trainingFeeds([change], config, sizes);
    const { loss: value, slope } = await runOnce(graph, { ...randomWeights(graph), ...feeds });
    return { loss: value!.data[0] as number, slope: slope!.data as Float32Array };
  }

  test("leaves the padding entry's embedding without a gradient", async () => {
    const { slope } = await run({ blocks: 10, scoredBlocks: 7, labels: 18 });
    const norm = (id: number) => Math.hypot(...slope.subarray(id * 12, id * 12 + 12));
    expect(norm(35)).toBe(0);
    expect([1, 38, 40, 2].every((id) => norm(id) > 1e-4)).toBe(true);
  });

  test("has the same loss when its fixed sizes leave room", async () => {
    const tight = await run({ blocks: 10, scoredBlocks: 7, labels: 18 });
    const roomy = await run({ blocks: 10, scoredBlocks: 10, labels: 40 });
    expect(roomy.loss).toBeCloseTo(tight.loss, 5);
    expect(() => trainingFeeds([row], config, { blocks: 10, scoredBlocks: 3, labels: 40 })).toThrow(
      "7 scored blocks with 18 labels do not fit",
    );
  });

  test("has the loss of both samples packed into one row when each has a row of its own", async () => {
    const packed = await run({ blocks: 10, scoredBlocks: 7, labels: 18 });
    const slots = vocabulary.codesPerPatch + 1;
    const samples = [
      [0, 6],
      [6, 10],
    ] as const;
    const rows = samples.map(([start, end]) => ({
      blocks: Int32Array.from({ length: 6 * slots }, (_, i) =>
        start * slots + i < end * slots ? row.blocks[start * slots + i]! : row.blocks[5 * slots + (i % slots)]!,
      ),
      lossMask: Array.from({ length: 6 }, (_, t) => (start + t < end ? row.lossMask[start + t]! : 0)),
      cuSegments: [0, 6],
    }));
    const sizes = { rows: 2, blocks: 6, scoredBlocks: 8, labels: 20 };
    const graph = new Graph();
    graph.output("loss", traceLanguageModelLoss(graph, config, sizes).loss);
    const { feeds } = trainingFeeds(rows, config, sizes);
    const { loss } = await runOnce(graph, { ...randomWeights(graph), ...feeds });
    expect(loss!.data[0]).toBeCloseTo(packed.loss, 4);
  });

  test("does not let one sample see another", async () => {
    const blocks = row.blocks.slice();
    blocks[4] = 9; // the lead of the first sample's second block
    const sizes = { blocks: 10, scoredBlocks: 3, labels: 6 };
    const second = { ...row, lossMask: [0, 0, 0, 0, 0, 0, 0, 1, 1, 1] };
    expect((await run(sizes, { ...second, blocks })).loss).toBe((await run(sizes, second)).loss);
  });

  test("numbers scored rows within the scored blocks", () => {
    const labels = {
      labels: Int32Array.of(-100, -100, 5, 34, -100, -100, 7, 34),
      weights: Float32Array.of(0, 0, 2, 2, 0, 0, 1, 1),
      count: 4,
    };
    const scored = supervisedRows(labels, { ...vocabulary, codesPerPatch: 1 }, { rows: 5 });
    expect(scored).toEqual({
      positions: Int32Array.of(1, 3),
      rows: Int32Array.of(0, 1, 2, 3, 0),
      labels: Int32Array.of(5, 34, 7, 34, 0),
      weights: Float32Array.of(0.5, 0.5, 0.25, 0.25, 0),
      count: 4,
    });
    expect(i32(scored.rows, [5]).shape).toEqual([5]);
  });
});

describe("the config", () => {
  const whole = {
    __class__: "KeyeARConfig",
    qwen_config: { ...qwen, rope_theta: 1, hidden_act: "silu" },
    tokenizer_config: { codebook_size: 12, n_q_tokens: 3, split_voc: 3, vision_config: {} },
    token_decoder_config: head,
  };

  test("is read with the reference's defaults", () => {
    const { qwen_config, token_decoder_config } = parseKeyeArConfig(whole);
    expect(qwen_config).toMatchObject({ norm_eps: 1e-6, q_norm: true, q_proj_bias: false });
    expect(token_decoder_config.reduce).toBe(true);
  });

  test.each([
    [{ tokenizer_config: { ...whole.tokenizer_config, n_q_tokens: 2, split_voc: 2 } }, "tokenizer_config.n_q_tokens"],
    [{ token_decoder_config: { ...head, max_length: 5 } }, "token_decoder_config.max_length"],
    [{ token_decoder_config: { ...head, input_dim: 13 } }, "token_decoder_config.input_dim"],
    [{ qwen_config: { ...qwen, tie_word_embeddings: true } }, "tie_word_embeddings"],
    [{ qwen_config: { ...qwen, num_kv_heads: 3 } }, "num_kv_heads"],
    [{ qwen_config: { ...qwen, q_eos_token: 40 } }, "q_eos_token"],
    [{ qwen_config: { ...qwen, embed_dim: 1e9 } }, "embed_dim"],
    [{ qwen_config: { ...qwen, surprise: 1 } }, "surprise"],
  ])("is rejected where parts disagree or sizes are absurd: %#", (change, name) => {
    expect(() => parseKeyeArConfig({ ...whole, ...change })).toThrow(name);
  });
});
