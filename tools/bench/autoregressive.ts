// The language model over blocks: a training step on a row that is half image, and greedy writing of an image.
// Width 256, 6 layers; 8 codebooks of 512 entries; a token head of width 128 and 2 layers.

import {
  blockVocabulary,
  type LanguageModelConfig,
  tokenHeadConfigSchema,
  unifiedQwen3ConfigSchema,
} from "../../src/llm/config.ts";
import { generate } from "../../src/llm/generate.ts";
import { LanguageModel } from "../../src/llm/language-model.ts";
import { counterRandom } from "../../src/random/counter.ts";
import { memoryWeights } from "../../src/runtime/memory-weights.ts";
import type { SessionOptions } from "../../src/runtime/session.ts";
import { textBlock } from "../../src/sequence/blocks.ts";
import { type BlockIds, bookRange, slotsPerBlock } from "../../src/sequence/layout.ts";
import { type TrainingSizes, traceLanguageModelLoss, trainingFeeds } from "../../src/train/loss/language-model-loss.ts";
import { ParameterStore } from "../../src/train/parameter-store.ts";
import { traceLoss } from "../../src/train/train-graph.ts";
import type { Benchmark, Workload } from "./benchmark.ts";
import { openTraining } from "./training.ts";

const T = 256;
const IMAGE = { start: 64, end: 192 } as const;
const PROMPT = 64;
const NEW_BLOCKS = 64;

const config: LanguageModelConfig = {
  qwen: unifiedQwen3ConfigSchema.parse({
    vocab_size: 4096,
    embed_dim: 256,
    num_layers: 6,
    num_heads: 8,
    num_kv_heads: 4,
    head_dim: 32,
    intermediate_dim: 768,
    rope_base: 1e6,
    tie_word_embeddings: false,
    eos_token_id: 4090,
    vision_start_token_id: 4091,
    vision_end_token_id: 4092,
    q_eos_token: 4093,
    image_token_id: 4094,
    pad_token_id: 4095,
    codebook_size: 8 * 512,
    n_q_tokens: 8,
  }),
  head: tokenHeadConfigSchema.parse({
    d_model: 128,
    nhead: 4,
    num_layers: 2,
    dim_feedforward: 256,
    max_length: 9,
    max_pos_length: 16,
    eos_token: 4093,
    input_dim: 256,
  }),
};
const vocabulary = blockVocabulary(config.qwen);
const SLOTS = slotsPerBlock(vocabulary);

/** Labels of the row: a text block has 2 (its id and the end of block), a visual one all slots; the first block has none. */
const LABELS = (IMAGE.end - IMAGE.start) * SLOTS + (T - 1 - (IMAGE.end - IMAGE.start)) * 2;

export const autoregressiveTraining: Benchmark = {
  name: "train-ar-h256-l6-s256-nq8",
  about:
    "language model over 256 blocks, half of them image: width 256, 6 layers, 8 books; every slot meets the output matrix",
  open: (options) => openStep((T - 1) * SLOTS, options),
  variants: { supervisedRows: (options) => openStep(LABELS, options) },
};

export const autoregressiveGeneration: Benchmark = {
  name: "generate-ar-h256-l6-nq8",
  about: "the same model writing greedily: prompt of 64 blocks, then 64 visual blocks of 8 codes",
  open: openGeneration,
};

function openStep(labels: number, options: SessionOptions): Promise<Workload> {
  const sizes: TrainingSizes = { blocks: T, scoredBlocks: T - 1, labels };
  const row = { blocks: exampleRow(), lossMask: new Uint8Array(T).fill(1), cuSegments: [0, T] };
  const { feeds } = trainingFeeds([row], config, sizes);
  return openTraining(
    { trace: (graph) => traceLanguageModelLoss(graph, config, sizes), feeds, units: { blocks: T } },
    options,
  );
}

/** Text of random ids with one image of random codes inside. */
function exampleRow(): BlockIds {
  const random = counterRandom(0, "row");
  const blocks = new Int32Array(T * SLOTS).fill(vocabulary.qEos);
  for (let t = 0; t < T; t++) {
    const isImage = t >= IMAGE.start && t < IMAGE.end;
    for (let i = 0; i < (isImage ? vocabulary.codesPerPatch : 1); i++) {
      const [first, end] = isImage ? bookRange(i, vocabulary) : [1, 4000];
      blocks[t * SLOTS + i] = first + random.integer(t * SLOTS + i, end - first);
    }
  }
  return blocks;
}

async function openGeneration(options: SessionOptions): Promise<Workload> {
  const sizes: TrainingSizes = { blocks: T, scoredBlocks: T - 1, labels: LABELS };
  const { graph } = traceLoss((graph) => traceLanguageModelLoss(graph, config, sizes));
  const store = new ParameterStore(graph.parameters.values());
  store.initialize(counterRandom(0, "init"));
  const weights = new Map([...store.parameters.keys()].map((path) => [path, store.tensor("values", path)]));
  const model = await LanguageModel.open(config, memoryWeights(weights), options);
  const random = counterRandom(0, "prompt");
  const text = Array.from({ length: PROMPT - 1 }, (_, t) => [...textBlock(1 + random.integer(t, 3999), vocabulary)]);
  const prompt = Int32Array.from([...text, [...textBlock(vocabulary.visionStart, vocabulary)]].flat());
  return {
    async run() {
      let written = 0;
      const wanted = { maxNewBlocks: NEW_BLOCKS, blocksPerImage: NEW_BLOCKS, topK: 1 };
      for await (const { kind } of generate(model, model.start(), prompt, wanted)) written += kind === "visual" ? 1 : 0;
      if (written !== NEW_BLOCKS) throw new Error(`${written} visual blocks were written instead of ${NEW_BLOCKS}`);
    },
    units: { blocks: NEW_BLOCKS, codes: NEW_BLOCKS * vocabulary.codesPerPatch },
    release: () => model.dispose(),
  };
}
