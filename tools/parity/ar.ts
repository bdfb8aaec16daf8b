// Parity of the whole autoregressive model: images become ids, packed samples go through trunk and token head, one
// training step with its gradients and AdamW, and greedy generation with two sets of weights.

import { z } from "zod";
import type { Checkpoint } from "../../src/checkpoint/checkpoint.ts";
import { blockVocabulary, type KeyeArConfig, languageModelConfig, parseKeyeArConfig } from "../../src/llm/config.ts";
import { languageModelPaths, readBlocks } from "../../src/llm/model.ts";
import { finalNorm, outputMatrix } from "../../src/llm/output.ts";
import { rotary1d } from "../../src/nn/rotary.ts";
import { f32, type HostTensor, hostTensor, i32 } from "../../src/runtime/host-tensor.ts";
import { blockInputs, expandRow } from "../../src/sequence/blocks.ts";
import { idsFromCodes } from "../../src/sequence/ids.ts";
import { Graph } from "../../src/tensor/graph.ts";
import { AdamW } from "../../src/train/adamw.ts";
import { constantLayout } from "../../src/train/constant-layout.ts";
import { lossByKind } from "../../src/train/loss/block-loss.ts";
import { blockLabels, IGNORED } from "../../src/train/loss/labels.ts";
import { type PackedRow, traceLanguageModelLoss, trainingFeeds } from "../../src/train/loss/language-model-loss.ts";
import { predictNextBlocks } from "../../src/train/loss/scored-blocks.ts";
import { ParameterStore } from "../../src/train/parameter-store.ts";
import { segmentMask } from "../../src/train/segments.ts";
import { TrainGraph, traceLoss } from "../../src/train/train-graph.ts";
import { imageTokenizer } from "../../src/vision/tokenizer.ts";
import { generations } from "./ar-generation.ts";
import { type GoldenFolder, type ParityCase, skipUnknown } from "./case.ts";
import { compute } from "./compute.ts";
import { gridsFrom } from "./grids.ts";
import { input, numbers } from "./input.ts";

export const arCase: ParityCase = {
  matches: (config) => "qwen" in config && "token_decoder" in config,

  async run(folder) {
    const config = parseGoldenConfig(folder.config);
    const vocabulary = blockVocabulary(config.qwen_config);
    const codes = await imageCodes(folder, config);
    const imageIds = idsFromCodes(numbers(codes), vocabulary);
    const rows = input(folder, "input_ids");
    const [B, T] = rows.shape as [number, number];
    const ids = numbers(rows);
    const packed: Packed = {
      row: {
        blocks: expandRow(ids, imageIds, vocabulary),
        // The first block of a row has no position before it to be predicted from.
        lossMask: numbers(input(folder, "loss_mask")).map((scored, i) => (i % T === 0 ? 0 : scored)),
        cuSegments: segments(folder, B, T),
      },
      positions: numbers(input(folder, "position_ids")),
      B,
      T,
    };
    const { blocks } = packed.row;
    const settings = z.object({ gen_new_tokens: z.int().min(0).default(8) }).parse(folder.config);
    return new Map([
      ["vq_indices", codes],
      ["image_token_ids", i32(imageIds, codes.shape)],
      ["expanded_ids", i32(blocks, [B, T, vocabulary.codesPerPatch + 1])],
      ...(await activations(folder, config, packed)),
      ...(await trainingStep(folder, config, packed)),
      ...(await generations(folder, languageModelConfig(config), imageIds, settings.gen_new_tokens)),
    ]);
  },

  tolerance: (name) => (name.endsWith(".min_top2_margin") ? { absolute: 1e-4 } : { relative: 1e-4, absolute: 1e-6 }),
};

/** B rows of T blocks, laid one behind the other as one packed row: segments keep them apart. */
interface Packed {
  readonly row: PackedRow;
  readonly positions: readonly number[];
  readonly B: number;
  readonly T: number;
}

function parseGoldenConfig(config: GoldenFolder["config"]): KeyeArConfig {
  return parseKeyeArConfig(
    {
      qwen_config: config.qwen,
      tokenizer_config: { ...(config.tokenizer as object), vision_config: config.vision },
      token_decoder_config: config.token_decoder,
    },
    undefined,
    skipUnknown,
  );
}

/** pixel_values -> codes i32 [M, N] */
async function imageCodes(folder: GoldenFolder, { tokenizer_config: config }: KeyeArConfig): Promise<HostTensor> {
  const { num_channels: C, patch_size: side } = config.vision_config;
  const pixels = input(folder, "pixel_values");
  const shape = [pixels.data.length / (C * side * side), C * side * side];
  const graph = new Graph();
  const layout = constantLayout(graph, gridsFrom(numbers(input(folder, "image_grid_thw"))), config.vision_config);
  const { quantized } = imageTokenizer(
    graph.params.at("visual_tokenizer"),
    graph.input("pixels", shape),
    layout,
    config,
  );
  graph.output("codes", quantized.codes);
  const results = await compute(graph, folder.weights, { pixels: f32(pixels.data as Float32Array, shape) });
  return results.get("codes")!;
}

/** Ends of the samples over all rows; cu_seqlens may count within one row, or be absent. */
function segments(folder: GoldenFolder, B: number, T: number): number[] {
  const given = folder.inputs.has("cu_seqlens") ? numbers(input(folder, "cu_seqlens")) : [0, T];
  if (given.at(-1) === B * T) return given;
  return [0, ...Array.from({ length: B }, (_, b) => given.slice(1).map((end) => b * T + end)).flat()];
}

/** Every activation of the forward pass, with the matrix that generation uses. */
async function activations(
  folder: GoldenFolder,
  config: KeyeArConfig,
  { row, positions, B, T }: Packed,
): Promise<Map<string, HostTensor>> {
  const { qwen_config: qwen } = config;
  const [D, slots, entries] = [qwen.embed_dim, qwen.n_q_tokens + 1, qwen.vocab_size + qwen.codebook_size];
  const all = B * T;
  const graph = new Graph();
  const root = graph.params;
  const constant = (values: Float32Array | Int32Array, shape: number[]) => graph.constant(values, shape);
  const { index, weight } = blockInputs(row.blocks, blockVocabulary(qwen));
  const rope = rotary1d(positions, qwen.head_dim, qwen.rope_base);
  const read = readBlocks(
    root,
    {
      index: constant(index, [1, all, slots - 1]),
      weight: constant(weight, [1, all, slots - 1]),
      cos: constant(rope.cos, [all, qwen.head_dim / 2]),
      sin: constant(rope.sin, [all, qwen.head_dim / 2]),
      mask: constant(segmentMask(row.cuSegments), [all, all]),
    },
    languageModelConfig(config),
  );
  const each = Int32Array.from({ length: all }, (_, i) => i);
  const next = each.map((i) => (i % T === T - 1 ? i + 1 - T : i + 1)); // the last position of a row is fed the row's first block
  const predicted = predictNextBlocks(
    root,
    read,
    constant(each, [all]),
    constant(next, [all]),
    languageModelConfig(config),
  );
  const { trunk, output } = languageModelPaths(root);
  const normed = finalNorm(trunk, predicted.output, qwen.norm_eps);
  graph.output("embed_aggregated", read.embeddings.inputs.reshape([B, T, D]));
  read.decoded.hidden.slice(1).forEach((x, l) => {
    graph.output(l === qwen.num_layers - 1 ? `hidden_layer${l}_last` : `hidden_layer${l}`, x.reshape([B, T, D]));
  });
  graph.output("token_head_in", predicted.input);
  graph.output("token_head_out", predicted.output);
  graph.output("logits", normed.linear(outputMatrix(output, entries, D)).reshape([B, T, slots, entries]));
  graph.output(
    "train_hidden",
    normed
      .reshape([B, T, slots, D])
      .slice(1, 0, T - 1)
      .reshape([B, (T - 1) * slots, D]),
  );
  return compute(graph, folder.weights);
}

/** Loss, gradients, and the weights after clipping and one AdamW step, by the code that trains. */
async function trainingStep(
  folder: GoldenFolder,
  config: KeyeArConfig,
  { row, positions, B, T }: Packed,
): Promise<[string, HostTensor][]> {
  const { qwen_config: qwen } = config;
  const vocabulary = blockVocabulary(qwen);
  const slots = vocabulary.codesPerPatch + 1;
  const all = blockLabels(row.blocks, row.lossMask, vocabulary);
  const scoredBlocks = Array.from(
    { length: all.labels.length / slots },
    (_, t) => all.labels[t * slots] !== IGNORED,
  ).filter(Boolean).length;
  const sizes = { blocks: B * T, scoredBlocks, labels: all.count };
  const { feeds, scored } = trainingFeeds([row], languageModelConfig(config), sizes);
  const rope = rotary1d(positions, qwen.head_dim, qwen.rope_base);
  const angles = [1, B * T, qwen.head_dim / 2];
  const trace = (graph: Graph) => {
    const { loss, rowLosses } = traceLanguageModelLoss(graph, languageModelConfig(config), sizes);
    return { loss, reports: { rowLosses } };
  };
  const store = await loadStore(traceLoss(trace).graph, folder.weights);
  const training = await TrainGraph.open(trace, store);
  try {
    const { loss, rowLosses } = await training.run({
      ...feeds,
      cos: f32(rope.cos, angles),
      sin: f32(rope.sin, angles),
    });
    const losses = rowLosses!.data as Float32Array;
    const kinds = lossByKind(losses, scored.labels, scored.count, vocabulary);
    const results: [string, HostTensor][] = [
      ["loss", loss!],
      ["text_loss", f32([kinds.text], [])],
      ["image_loss", f32([kinds.image], [])],
      ["eos_loss", f32([kinds.eos], [])],
      ...shifted(all.labels, all.weights, losses, B, T, slots),
    ];
    const copy = (region: "gradients" | "values", path: string) =>
      f32(store.view(region, path).slice(), store.parameters.get(path)!.shape);
    for (const path of training.trained) results.push([`grad.${path}`, copy("gradients", path)]);
    const options = { betas: [0.9, 0.95], eps: 1e-8, weightDecay: 0.01, clipValue: 0.01 } as const;
    new AdamW(store, options, (path) => training.trained.has(path)).update(1, 1e-3);
    for (const path of training.trained) results.push([`after_adamw.${path}`, copy("values", path)]);
    return results;
  } finally {
    await training.release();
  }
}

/** Labels, weights and losses of all slots [B, (T-1)*(N+1)]: those between two rows left out, 0 where nothing is scored. */
function shifted(
  labels: Int32Array,
  weights: Float32Array,
  losses: Float32Array,
  B: number,
  T: number,
  slots: number,
): [string, HostTensor][] {
  const full = new Float32Array(labels.length);
  let next = 0;
  for (let i = 0; i < labels.length; i++) if (labels[i] !== IGNORED) full[i] = losses[next++]!;
  const isInside = (i: number) => Math.floor(i / slots) % T !== T - 1;
  const wide = [B, (T - 1) * slots];
  return [
    [
      "labels",
      hostTensor(
        "i32",
        labels.filter((_, i) => isInside(i)),
        wide,
      ),
    ],
    [
      "weights",
      f32(
        weights.filter((_, i) => isInside(i)),
        wide,
      ),
    ],
    [
      "per_token_loss",
      f32(
        full.filter((_, i) => isInside(i)),
        [B * (T - 1) * slots],
      ),
    ],
  ];
}

async function loadStore(graph: Graph, weights: Checkpoint): Promise<ParameterStore> {
  const store = new ParameterStore(graph.parameters.values());
  for (const path of graph.parameters.keys()) store.set("values", path, await weights.read(path));
  return store;
}
